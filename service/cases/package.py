"""The ZIP of an export: pictures, JSON, a page, a manifest of hashes, and a signature over the manifest."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import IO, Any, cast

from service.cases.sealed_file import ExportFile
from service.cases.signing import SigningKey

__all__ = ["FORMAT", "MANIFEST", "PUBLIC_KEY", "SIGNATURE", "Package", "Packed"]

FORMAT = "tapetum-case-export/1"
MANIFEST, SIGNATURE, PUBLIC_KEY = "manifest.json", "manifest.sig", "public-key.pem"


@dataclass(frozen=True, slots=True)
class Packed:
    """Of the finished ZIP and of its manifest, SHA-256 in hexadecimal; and the fingerprint of the key."""

    size_bytes: int
    sha256: str
    manifest_sha256: str
    key: str


class Package:
    """Writes one ZIP. As a context manager it closes the file; only `seal` makes it whole.

    Raises OSError when the disk is full.

    Args:
        moment: that all its files carry.
    """

    def __init__(self, file: ExportFile, moment: datetime) -> None:
        self._file = file
        self._time = moment.timetuple()[:6]
        self._files: list[dict[str, Any]] = []
        self._zip = zipfile.ZipFile(cast("IO[bytes]", file), "w", zipfile.ZIP_STORED, allowZip64=True)

    def __enter__(self) -> Package:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is not None:
            self._zip.fp = None  # a ZIP that failed half way is not finished by closing it
        self._file.close()

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
        self._file.settle()
        self._file.sync()
        return Packed(
            self._file.size_bytes, self._file.sha256, hashlib.sha256(manifest).hexdigest(), key.public.fingerprint
        )

    def _write(self, name: str, data: bytes, compression: int) -> None:
        entry = zipfile.ZipInfo(name, self._time)
        entry.external_attr = 0o600 << 16
        self._zip.writestr(entry, data, compression)
        self._file.settle()
