"""The chain of hashes: how an entry is written, and how anybody can check a log without the installation.

An entry's hash is the SHA-256 of its canonical JSON (keys sorted, no spaces, ASCII), in which `previous` is the
hash of the entry before, or 64 zeros. So an entry that was edited, removed, put in or moved breaks the chain
there. What the chain alone cannot show, a cut end or a log written anew, shows against a head that was noted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["GENESIS", "Entry", "Head", "Verification", "canonical", "verify_chain"]

GENESIS = "0" * 64
_HEAD = re.compile(r"(\d{1,15}):([0-9a-f]{64})")
_FIELDS = frozenset({"seq", "at", "event", "account", "token", "address", "request_id", "details", "previous", "hash"})


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a log at some time: its number and hash. Noted elsewhere, it pins everything before it."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Raises ValueError for anything but ``NUMBER:HASH``."""
        match = _HEAD.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"head: expected NUMBER:HASH with 64 hexadecimal figures, got {text[:100]!r}")
        return cls(int(match[1]), match[2])


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    Attributes:
        seq: from 1, without gaps.
        at: ISO time, UTC.
        account: who; None for the service itself and for logins of nobody.
        token: name of the API token, None for a session or the console.
        details: what the event is about; never a password, token, picture or vector.
    """

    seq: int
    at: str
    event: str
    account: str | None
    token: str | None
    address: str | None
    request_id: str | None
    details: dict[str, Any]
    previous: str
    hash: str

    @classmethod
    def following(cls, head: Head | None, fields: Mapping[str, Any]) -> Entry:
        """The next entry after a head, None for the first."""
        whole = {**fields, "seq": head.seq + 1 if head else 1, "previous": head.hash if head else GENESIS}
        return cls(**whole, hash=_hash(whole))

    @property
    def text(self) -> str:
        """Canonical JSON with the hash: a line of an exported log."""
        return canonical({name: getattr(self, name) for name in _FIELDS})


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome of checking a log.

    Attributes:
        checked: entries that are in order, from the first on.
        head: the last of them.
        broken_at: number of the first entry that is not as it was written, None when all are.
        reason: the same in words.
    """

    checked: int
    head: Head | None
    broken_at: int | None = None
    reason: str | None = None

    @property
    def intact(self) -> bool:
        return self.broken_at is None


def canonical(fields: Mapping[str, Any]) -> str:
    """One text for one content."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def verify_chain(lines: Iterable[str | bytes], *heads: Head | None) -> Verification:
    """Check entries in their order, from the first.

    Args:
        lines: one entry's JSON each.
        heads: what entries are known to have been; the log must reach so far and agree with them. None is no head.
    """
    known = [head for head in heads if head is not None]
    last: Head | None = None
    for line in lines:
        number = last.seq + 1 if last else 1
        entry, reason = _checked(line, number, last)
        if entry is not None and any(entry.seq == head.seq and entry.hash != head.hash for head in known):
            reason = f"entry {number} is not the one of the known head: the log was written anew"
        if entry is None or reason is not None:
            return Verification(number - 1, last, number, reason)
        last = Head(entry.seq, entry.hash)
    seen = last.seq if last else 0
    end = max((head.seq for head in known), default=0)
    if seen < end:
        missing = f"entry {end} is" if end == seen + 1 else f"entries {seen + 1} to {end} are"
        return Verification(seen, last, seen + 1, f"{missing} missing: the end of the log was cut off")
    return Verification(seen, last)


def _checked(line: str | bytes, number: int, last: Head | None) -> tuple[Entry | None, str | None]:
    """The entry, or None, and what is wrong with it."""
    try:
        fields = json.loads(line)
        if not isinstance(fields, dict) or fields.keys() != _FIELDS:
            raise ValueError
        written = fields.pop("hash")
        right = _hash(fields) == written
    except (ValueError, RecursionError):
        return None, f"entry {number} cannot be read"
    if fields["seq"] != number:
        return None, f"entry {number} is missing or out of place: entry {str(fields['seq'])[:20]} stands there"
    if not right:
        return None, f"entry {number} was changed"
    if fields["previous"] != (last.hash if last else GENESIS):
        return None, f"entry {number} does not follow from the entry before it"
    return Entry(**fields, hash=written), None


def _hash(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(fields).encode("ascii")).hexdigest()
