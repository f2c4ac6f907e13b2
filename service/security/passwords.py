"""Passwords: what is accepted, argon2id hashes, and fresh ones for people to read out."""

from __future__ import annotations

import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

__all__ = ["MAX_PASSWORD_LENGTH", "MIN_PASSWORD_LENGTH", "check_password", "fresh_password", "hashed", "matches"]

MIN_PASSWORD_LENGTH = 12
MAX_PASSWORD_LENGTH = 256
_MIN_DIFFERENT = 5
# No look-alikes (0 O 1 l I), so that a password can be read out over a radio.
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_HASHER = PasswordHasher()
# Verified where there is no account, so that both answers take the same time.
_DECOY = _HASHER.hash(secrets.token_urlsafe(16))


def check_password(password: str, account: str) -> None:
    """Raise ValueError, in a sentence without the password, when it is too easy to guess or too long."""
    if len(password) < MIN_PASSWORD_LENGTH:
        raise ValueError(f"password: expected at least {MIN_PASSWORD_LENGTH} characters, got {len(password)}")
    if len(password) > MAX_PASSWORD_LENGTH:
        raise ValueError(f"password: expected at most {MAX_PASSWORD_LENGTH} characters, got {len(password)}")
    if len(set(password)) < _MIN_DIFFERENT:
        raise ValueError(f"password: expected at least {_MIN_DIFFERENT} different characters")
    if account and password.casefold().replace(account, "").strip("0123456789 -_.!") == "":
        raise ValueError("password: expected more than the account's name")


def fresh_password() -> str:
    """116 bits, in four groups of five."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


def hashed(password: str) -> str:
    """An argon2id hash with its parameters and salt."""
    return _HASHER.hash(_as_typed(password))


def matches(password_hash: str | None, password: str) -> bool:
    """Whether it is the password. None for an account that is not there takes as long, and is False."""
    try:
        _HASHER.verify(password_hash or _DECOY, _as_typed(password))
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def _as_typed(password: str) -> bytes:
    """One form for what different keyboards write as different code points. Half surrogates become a mark."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace")
