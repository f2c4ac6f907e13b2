"""The key that exports are signed with: Ed25519, made once, readable by the service only."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

__all__ = ["KEY_FILE", "SigningKey", "SigningKeyError", "VerifyingKey"]

KEY_FILE = "export-key.pem"


class SigningKeyError(ValueError):
    """The file holds no such key; the message names it."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """The public half. `fingerprint` is SHA-256 of its 32 bytes, hexadecimal."""

    key: Ed25519PublicKey = field(repr=False)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()

    @property
    def pem(self) -> bytes:
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def signed(self, signature: bytes, data: bytes) -> bool:
        """Whether the signature is of this key and of these bytes."""
        try:
            self.key.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    @classmethod
    def from_pem(cls, pem: bytes) -> VerifyingKey:
        """Raises SigningKeyError."""
        try:
            key = load_pem_public_key(pem)
        except Exception as error:  # the parser meets hostile bytes, and has several kinds of exceptions
            raise SigningKeyError("expected an Ed25519 public key in PEM") from error
        if not isinstance(key, Ed25519PublicKey):
            raise SigningKeyError("expected an Ed25519 public key in PEM")
        return cls(key)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private half."""

    key: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> VerifyingKey:
        return VerifyingKey(self.key.public_key())

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        return self.key.sign(data)

    @classmethod
    def of_folder(cls, folder: Path) -> SigningKey:
        """The key of an installation; made when there is none. Raises SigningKeyError, OSError."""
        path = folder / KEY_FILE
        if not path.exists():
            _make(path)
        return cls.from_file(path)

    @classmethod
    def from_file(cls, path: Path) -> SigningKey:
        """Raises SigningKeyError, OSError."""
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except (ValueError, TypeError) as error:
            raise SigningKeyError(f"{path.name}: expected an Ed25519 private key in PEM without a password") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningKeyError(f"{path.name}: expected an Ed25519 key")
        return cls(key)


def _make(path: Path) -> None:
    """Write a new key as a whole; of two processes that do so at once, the first one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    partial = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)
        except FileExistsError:
            return
    finally:
        partial.unlink(missing_ok=True)
