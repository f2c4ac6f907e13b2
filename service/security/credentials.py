"""The one account and its password, kept as an argon2 hash in the data folder."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

__all__ = ["ADMIN", "Credential", "Credentials", "CredentialsError", "ensure_admin_password", "set_admin_password"]

ADMIN = "admin"
MIN_PASSWORD_LENGTH = 12
# No look-alikes (0 O 1 l I), so that a password can be read out over a radio.
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_HASHER = PasswordHasher()
# Verified when the account name is wrong, so that both answers take the same time.
_DECOY = _HASHER.hash(secrets.token_urlsafe(16))


class CredentialsError(RuntimeError):
    """The credentials file is missing, unreadable or damaged."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One account. `password_id` changes with every password; sessions remember it and end with it."""

    account: str
    password_hash: str = field(repr=False)
    password_id: str


def _path(data_dir: Path) -> Path:
    return data_dir / "credentials.json"


def _write(data_dir: Path, password: str) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    document = {
        "account": ADMIN,
        "password_hash": _HASHER.hash(password),
        "password_id": secrets.token_hex(16),
        "changed_at": datetime.now(UTC).isoformat(),
    }
    # Written beside and renamed, so that a crash leaves the old file or the new one. mkstemp makes it 0600.
    handle, name = tempfile.mkstemp(dir=data_dir, prefix=".credentials-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(_path(data_dir))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def set_admin_password(data_dir: Path, password: str) -> None:
    """Change the password; every session made with the old one ends. Raises ValueError when it is too short."""
    if len(password) < MIN_PASSWORD_LENGTH:
        raise ValueError(f"password: expected at least {MIN_PASSWORD_LENGTH} characters, got {len(password)}")
    _write(data_dir, password)


def ensure_admin_password(data_dir: Path, reset: bool = False) -> str | None:
    """Make the admin account if there is none (or a new password with `reset`).

    Returns the clear password only when it was newly made; it is not kept anywhere.
    """
    if _path(data_dir).exists() and not reset:
        return None
    password = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
    _write(data_dir, password)
    return password


class Credentials:
    """Reads the credentials file, again whenever it has changed (another process may change the password)."""

    def __init__(self, data_dir: Path) -> None:
        self._path = _path(data_dir)
        self._read: tuple[tuple[int, int, int], Credential] | None = None

    def current(self) -> Credential:
        """Raises CredentialsError when there is no usable file."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if self._read is None or self._read[0] != stamp:
                document = json.loads(self._path.read_text(encoding="utf-8"))
                credential = Credential(document["account"], document["password_hash"], document["password_id"])
                self._read = (stamp, credential)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CredentialsError(f"cannot read {self._path.name} in the data folder; make a new password") from error
        return self._read[1]

    def verify(self, account: str, password: str) -> Credential | None:
        """The credential if name and password are right, else None. Takes the same time for both mistakes."""
        credential = self.current()
        known = secrets.compare_digest(account.encode(), credential.account.encode())
        try:
            _HASHER.verify(credential.password_hash if known else _DECOY, password)
        except (VerificationError, InvalidHashError):
            return None
        return credential if known else None
