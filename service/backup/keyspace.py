"""Redis keys as lines of JSON and back, by type and not by the server's own format: a backup of one server goes into
any other, and what comes out of an archive is data that is checked, never something that a server unpacks.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, cast

import redis

from service.backup.archive import BackupError

__all__ = ["PREFIX", "Line", "all_names", "decoded", "dumped", "encoded", "is_passing", "load", "stream_lines"]

PREFIX = "tapetum:"
# What is only of the moment: logins, leases, reports of workers, jobs under way. A restore ends all of it but its own.
_PASSING = (
    "tapetum:session:",
    "tapetum:login:",
    "tapetum:photo:",
    "tapetum:lease:",
    "tapetum:health:",
    "tapetum:history:system:",
    "tapetum:worker:",
    "tapetum:workers",
    "tapetum:retention",
    "tapetum:idempotency:",
    "tapetum:search:key:",
    "tapetum:lock:",
    "tapetum:restore:",
)
_ELEMENTS = 2_000
"""Of one line; longer values go on in the next."""
_TOGETHER = 20_000
"""Elements that are read in one transaction, some ten milliseconds of the server's time."""

Line = dict[str, Any]


def is_passing(name: str) -> bool:
    """Whether a key is only of the moment and in no backup."""
    return name.startswith(_PASSING)


def all_names(client: redis.Redis) -> list[str]:
    """Every key of the project, in order."""
    return sorted({name.decode() for name in client.scan_iter(f"{PREFIX}*", count=2000)})


def encoded(value: bytes | str | float) -> str:
    data = value if isinstance(value, bytes) else str(value).encode()
    return base64.b64encode(data).decode()


def decoded(text: object) -> bytes:
    """Raises BackupError."""
    try:
        return base64.b64decode(cast("str", text), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise BackupError("the backup is damaged: a value is no base64") from None


def dumped(client: redis.Redis, names: Sequence[str]) -> Iterator[Line]:
    """Lines of keys. Neighbours in the list are read in one transaction, as far as they are not too long together."""
    batch: list[tuple[str, str]] = []
    room = _TOGETHER
    for name, kind, count in _described(client, names):
        if kind == "stream":
            yield from stream_lines(client, name)
            continue
        if count > room and batch:
            yield from _together(client, batch)
            batch, room = [], _TOGETHER
        batch.append((name, kind))
        room -= count
    yield from _together(client, batch)


def _described(client: redis.Redis, names: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Type and number of elements of each key that is there."""
    counts = {"hash": "HLEN", "set": "SCARD", "zset": "ZCARD", "list": "LLEN", "stream": "XLEN"}
    left = iter(names)
    while some := list(islice(left, 1000)):
        with client.pipeline(transaction=False) as pipe:
            for name in some:
                pipe.type(name)
            kinds = [kind.decode() for kind in pipe.execute()]
            for name, kind in zip(some, kinds, strict=True):
                pipe.execute_command(counts.get(kind, "EXISTS"), name)  # type: ignore[no-untyped-call]
            sizes = pipe.execute(raise_on_error=False)
        for name, kind, size in zip(some, kinds, sizes, strict=True):
            if kind != "none":
                yield name, kind, size if isinstance(size, int) else 0


def _together(client: redis.Redis, batch: Sequence[tuple[str, str]]) -> Iterator[Line]:
    reads = {
        "string": lambda pipe, name: pipe.get(name),
        "hash": lambda pipe, name: pipe.hgetall(name),
        "set": lambda pipe, name: pipe.smembers(name),
        "zset": lambda pipe, name: pipe.zrange(name, 0, -1, withscores=True),
        "list": lambda pipe, name: pipe.lrange(name, 0, -1),
    }
    with client.pipeline(transaction=True) as pipe:
        for name, kind in batch:
            if kind not in reads:
                raise BackupError(f"the key {name} has the type {kind}, which a backup does not know")
            pipe.pexpiretime(name)
            reads[kind](pipe, name)
        replies = pipe.execute(raise_on_error=False) if batch else []
    for (name, kind), expires, value in zip(batch, replies[::2], replies[1::2], strict=True):
        if isinstance(value, Exception):
            raise BackupError(f"the key {name} cannot be read: {value}")
        if value is None or expires == -2:  # it went meanwhile
            continue
        head: Line = {"key": name, "type": kind}
        if expires > 0:
            head["expires_ms"] = expires
        yield from _parts(head, kind, value)


def _parts(head: Line, kind: str, value: Any) -> Iterator[Line]:
    if kind == "string":
        yield {**head, "value": encoded(value)}
        return
    if kind == "hash":
        items: list[Any] = [[encoded(field), encoded(one)] for field, one in sorted(value.items())]
    elif kind == "zset":
        items = [[encoded(member), repr(float(score))] for member, score in value]
    else:
        items = [encoded(one) for one in (sorted(value) if kind == "set" else value)]
    for start in range(0, len(items), _ELEMENTS):
        yield {**head, "items": items[start : start + _ELEMENTS]}


def stream_lines(client: redis.Redis, name: str, until: str | None = None) -> Iterator[Line]:
    """Lines of a stream as it is now, or up to an id: its entries, then its end and its groups.

    What a group has read and not finished, it is given again after a restore.
    """
    info = client.xinfo_stream(name)
    last = until or _text(info["last-generated-id"])
    groups = []
    for group in client.xinfo_groups(name):
        reached = _text(group["last-delivered-id"])
        if group["pending"]:
            first = _text(cast("Any", client.xpending(name, group["name"]))["min"])
            reached = _before(first) if first else reached
        groups.append([encoded(group["name"]), reached])
    after = "-"
    while batch := cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(name, after, last, count=500)):
        entries = [[_text(one), [[encoded(f), encoded(v)] for f, v in fields.items()]] for one, fields in batch]
        yield {"key": name, "type": "stream", "entries": entries}
        after = f"({_text(batch[-1][0])}"
    yield {"key": name, "type": "stream", "entries": [], "last": last, "groups": groups}


def load(pipe: Any, line: Line) -> None:
    """Write a line into a pipeline. Lines of one key come one after the other. Raises BackupError."""
    try:
        name, kind = str(line["key"]), line["type"]
        if not name.startswith(PREFIX) or is_passing(name):
            raise BackupError(f"the backup has a key that no backup has: {name[:80]!r}")
        if kind == "string":
            pipe.set(name, decoded(line["value"]))
        elif kind == "hash":
            pipe.hset(name, items=[decoded(part) for pair in _pairs(line["items"]) for part in pair])
        elif kind == "set":
            pipe.sadd(name, *(decoded(one) for one in line["items"]))
        elif kind == "zset":
            pipe.zadd(name, {decoded(member): float(score) for member, score in _pairs(line["items"])})
        elif kind == "list":
            pipe.rpush(name, *(decoded(one) for one in line["items"]))
        elif kind == "stream":
            _load_stream(pipe, name, line)
        else:
            raise BackupError(f"the backup has a key of an unknown type: {str(kind)[:40]!r}")
        if "expires_ms" in line:
            pipe.pexpireat(name, int(line["expires_ms"]))
    except (KeyError, TypeError, ValueError, redis.DataError) as error:
        raise BackupError(f"the backup is damaged: a key cannot be read ({error!r})") from None


def _load_stream(pipe: Any, name: str, line: Line) -> None:
    for one, fields in _pairs(line["entries"]):
        pairs = [decoded(part) for pair in _pairs(fields) for part in pair]
        pipe.execute_command("XADD", name, one, *pairs)
    if "last" in line:
        if line["last"] != "0-0":
            # An empty stream is made by a group, and gets its end; one with entries only its end.
            pipe.xgroup_create(name, "restored", id="0", mkstream=True)
            pipe.execute_command("XSETID", name, line["last"])
            pipe.xgroup_destroy(name, "restored")
        for group, reached in _pairs(line["groups"]):
            pipe.xgroup_create(name, decoded(group), id=reached, mkstream=True)


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    return [(first, second) for first, second in value]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _before(position: str) -> str:
    """The id before one of a stream."""
    milliseconds, _, sequence = position.partition("-")
    if int(sequence) > 0:
        return f"{milliseconds}-{int(sequence) - 1}"
    return f"{int(milliseconds) - 1}-{2**64 - 1}" if int(milliseconds) else "0-0"
