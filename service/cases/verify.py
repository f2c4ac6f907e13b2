"""Checks an export without the installation that made it: every file, the manifest, and who signed it."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.cases.package import FORMAT, MANIFEST, PUBLIC_KEY, SIGNATURE
from service.cases.signing import VerifyingKey

__all__ = ["ExportCheck", "verify_export"]

_MAX_MANIFEST_BYTES = 64 * 2**20
_CHUNK = 2**20
_MAX_FINDINGS = 100
# What the ZIP's reader, and ours of the manifest, say to bytes that are none.
_BROKEN = (
    AttributeError,
    EOFError,
    KeyError,
    OSError,  # a place before the file's beginning
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """What a check found.

    Attributes:
        findings: a sentence for each, in the order of the manifest; empty for an export that is as it was signed.
        files: that the manifest vouches for.
        fingerprint: of the key that signed it; None when that cannot be said.
        trusted: the key is one that the caller knows.
        about: what the manifest says of the export; only good without findings.
    """

    findings: tuple[str, ...]
    files: int = 0
    fingerprint: str | None = None
    trusted: bool = False
    about: Mapping[str, Any] | None = None


def verify_export(path: Path, trusted: Collection[str] = ()) -> ExportCheck:
    """Check a file.

    Args:
        trusted: fingerprints of keys that the caller knows, hexadecimal. Without one an export only shows that it is
            as somebody signed it, not who that was.

    Raises:
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _check(archive, trusted)
        except _BROKEN as error:
            reason = error.args[0] if isinstance(error, KeyError) else error
            return ExportCheck((f"the file cannot be read as an export: {reason}",))


def _check(archive: zipfile.ZipFile, trusted: Collection[str]) -> ExportCheck:
    entries = {info.filename: info for info in archive.infolist()}
    manifest = _read(archive, entries, MANIFEST)
    key = VerifyingKey.from_pem(_read(archive, entries, PUBLIC_KEY))
    if not key.signed(_read(archive, entries, SIGNATURE), manifest):
        return ExportCheck((f"{MANIFEST}: the signature is not of this manifest",), fingerprint=key.fingerprint)
    about = json.loads(manifest)
    if about.get("format") != FORMAT or about["export"]["key"] != key.fingerprint:
        raise ValueError(f"{MANIFEST}: expected the format {FORMAT}, signed with the key that it names")
    listed = {str(file["path"]): (int(file["bytes"]), str(file["sha256"])) for file in about.pop("files")}
    counts = Counter(info.filename for info in archive.infolist())
    findings = [
        f"{name}: was changed" if name in entries else f"{name}: is missing"
        for name, (size, sha256) in listed.items()
        if name not in entries or not _same(archive, name, size, sha256)
    ]
    findings += [f"{name}: was added" for name in entries if name not in {*listed, MANIFEST, SIGNATURE}]
    findings += [f"{name}: is there {count} times" for name, count in counts.items() if count > 1]
    if archive.comment or min(info.header_offset for info in archive.infolist()):
        findings.append("something was added before or behind the files")
    known = key.fingerprint in {one.lower() for one in trusted}
    return ExportCheck(tuple(findings[:_MAX_FINDINGS]), len(listed), key.fingerprint, known, about)


def _read(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], name: str) -> bytes:
    if name not in entries:
        raise ValueError(f"{name} is missing")
    with archive.open(entries[name]) as file:
        data = file.read(_MAX_MANIFEST_BYTES + 1)
    if len(data) > _MAX_MANIFEST_BYTES:
        raise ValueError(f"{name} is too large")
    return data


def _same(archive: zipfile.ZipFile, name: str, size: int, sha256: str) -> bool:
    """Compare size and hash; never reads on when there is more than there may be."""
    digest, left = hashlib.sha256(), size
    try:
        with archive.open(name) as file:
            while chunk := file.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    return False
                digest.update(chunk)
    except _BROKEN:
        return False
    return left == 0 and digest.hexdigest() == sha256
