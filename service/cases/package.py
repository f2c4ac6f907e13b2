"""The ZIP of an export: pictures, JSON, a page, a manifest of hashes, and a signature over the manifest."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from service.cases.signing import SigningKey

__all__ = ["FORMAT", "MANIFEST", "PUBLIC_KEY", "SIGNATURE", "Package", "Packed"]

FORMAT = "tapetum-case-export/1"
MANIFEST, SIGNATURE, PUBLIC_KEY = "manifest.json", "manifest.sig", "public-key.pem"


@dataclass(frozen=True, slots=True)
class Packed:
    """Of the finished file and of its manifest, SHA-256 in hexadecimal; and the fingerprint of the key."""

    size_bytes: int
    sha256: str
    manifest_sha256: str
    key: str


class Package:
    """Writes one ZIP. As a context manager it closes the file; only `seal` makes it whole.

    Raises OSError when the disk is full.

    Args:
        path: must not be there yet; readable by its owner only.
        moment: that all its files carry.
    """

    def __init__(self, path: Path, moment: datetime) -> None:
        self._time = moment.timetuple()[:6]
        self._files: list[dict[str, Any]] = []
        self._raw = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")
        self._zip = zipfile.ZipFile(self._raw, "w", zipfile.ZIP_STORED, allowZip64=True)

    def __enter__(self) -> Package:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is not None:
            self._zip.fp = None  # a ZIP that failed half way is not finished by closing it
        self._raw.close()

    def add(self, name: str, data: bytes) -> None:
        """One file, with its hash in the manifest."""
        self._write(name, data, zipfile.ZIP_STORED if name.endswith(".jpg") else zipfile.ZIP_DEFLATED)
        self._files.append({"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})

    def add_json(self, name: str, values: dict[str, Any]) -> None:
        self.add(name, json.dumps(values, ensure_ascii=True, indent=1).encode())

    def add_text(self, name: str, parts: Iterable[str]) -> None:
        self.add(name, "".join(parts).encode())

    def seal(self, key: SigningKey, about: dict[str, Any]) -> Packed:
        """Write public key, manifest and signature, and everything to the disk."""
        self.add(PUBLIC_KEY, key.public.pem)
        manifest = json.dumps({"format": FORMAT, **about, "files": self._files}, ensure_ascii=True, indent=1).encode()
        self._write(MANIFEST, manifest, zipfile.ZIP_DEFLATED)
        self._write(SIGNATURE, key.sign(manifest), zipfile.ZIP_STORED)
        self._zip.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.seek(0)
        digest = hashlib.file_digest(self._raw, "sha256").hexdigest()
        size_bytes = self._raw.tell()
        return Packed(size_bytes, digest, hashlib.sha256(manifest).hexdigest(), key.public.fingerprint)

    def _write(self, name: str, data: bytes, compression: int) -> None:
        entry = zipfile.ZipInfo(name, self._time)
        entry.external_attr = 0o600 << 16
        self._zip.writestr(entry, data, compression)
