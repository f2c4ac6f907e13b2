"""Encryption at rest: values sealed with AES-256-GCM, each bound to the place where it lies.

A sealed value is a mark (8 bytes), the key's id (8), a nonce (12), and the ciphertext with its tag (16 more than the
plaintext). No JPEG and no vector of unit length begins with the mark, so that plain values are told from sealed ones:
an installation can begin to encrypt, and go from key to key, while it runs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = [
    "HEAD_BYTES",
    "KEY_BYTES",
    "MARK",
    "PLAIN",
    "SEAL_BYTES",
    "SealError",
    "Sealer",
    "hash_place",
    "is_sealed",
    "key_id",
]

KEY_BYTES = 32
MARK = b"\xf5TPsea1\x00"
_ID_BYTES = 8
HEAD_BYTES = len(MARK) + _ID_BYTES
_NONCE_BYTES = 12
_TAG_BYTES = 16
SEAL_BYTES = HEAD_BYTES + _NONCE_BYTES + _TAG_BYTES
"""By which a sealed value is longer than a plain one."""


class SealError(ValueError):
    """A sealed value cannot be opened: its key is not there, it was changed, or it belongs elsewhere."""


def key_id(key: bytes) -> str:
    """Names a key without telling anything of it: 16 hexadecimal figures."""
    return hashlib.sha256(b"tapetum key id\x00" + key).hexdigest()[: 2 * _ID_BYTES]


def is_sealed(data: bytes) -> bool:
    return data.startswith(MARK)


def hash_place(name: str, field: str) -> str:
    """The place of a field of a Redis hash."""
    return f"{name}/{field}"


class Sealer:
    """Seals and opens values. Safe for threads.

    Args:
        keys: 32 bytes each. The first one seals, all of them open. Without any, values stay as they are.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        if any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"encryption key: expected {KEY_BYTES} bytes, got {[len(key) for key in keys]}")
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self.ids = tuple(self._ciphers)
        self.prefix = MARK + bytes.fromhex(self.ids[0]) if keys else b""
        """What a value begins with that needs no new seal; empty without keys."""

    def seal(self, data: bytes, place: str) -> bytes:
        """Encrypt a value for one place: a media key, or a field of a record."""
        if not self.ids:
            return data
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self.ids[0]].encrypt(nonce, data, self.prefix + place.encode())
        return self.prefix + nonce + sealed

    def open(self, data: bytes, place: str) -> bytes:
        """The value that was sealed for this place; a value that never was sealed is given back. Raises SealError."""
        if not is_sealed(data):
            return data
        head, nonce = data[:HEAD_BYTES], data[HEAD_BYTES : HEAD_BYTES + _NONCE_BYTES]
        one = head[len(MARK) :].hex()
        cipher = self._ciphers.get(one)
        if cipher is None:
            raise SealError(f"encrypted with key {one}, which encryption_keys or encryption_key_file does not have")
        if len(data) < SEAL_BYTES:
            raise SealError("encrypted, and cut off")
        try:
            return cipher.decrypt(nonce, data[HEAD_BYTES + _NONCE_BYTES :], head + place.encode())
        except InvalidTag:
            raise SealError("encrypted, and it was changed or belongs to another place") from None

    def reseal(self, data: bytes, place: str) -> bytes | None:
        """The value under the first key; None where it is so already. Raises SealError."""
        if data.startswith(self.prefix) if self.ids else not is_sealed(data):
            return None
        return self.seal(self.open(data, place), place)


PLAIN = Sealer()
"""Encrypts nothing."""
