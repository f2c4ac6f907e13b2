"""Sessions in Redis: random tokens, stored hashed, shared by all API processes; and API tokens beside them."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from service.security.access import Access
from service.security.accounts import ACCOUNTS, Account, read_account
from service.security.tokens import TOKEN_PREFIX, TokenStore

__all__ = ["Session", "SessionStore"]

_PREFIX = "tapetum:session:"
_TOKEN_LENGTH = 43  # 256 bits in URL-safe base64

# KEYS: session, accounts. What both hold at one moment, and in one way there and back: every request asks.
_READ = """
local fields = redis.call('HMGET', KEYS[1], 'account', 'stamp', 'created_at', 'expires_at')
if not fields[1] then return false end
fields[5] = redis.call('HGET', KEYS[2], fields[1])
return fields
"""


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in, since when, and until when. `key` names the stored record, never the token."""

    key: str
    access: Access
    created_at: datetime
    expires_at: datetime


class SessionStore:
    """Opens, finds and ends sessions. Every call goes to Redis and may raise ``redis.RedisError``."""

    def __init__(self, client: Any, tokens: TokenStore, lifetime: timedelta) -> None:
        self._redis = client
        self._tokens = tokens
        self.lifetime = lifetime

    def open(self, account: Account) -> tuple[str, Session]:
        """A new token and its session. The token is not kept."""
        token = secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        session = Session(_key(token), account.access(), now, now + self.lifetime)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(
                session.key,
                mapping={
                    "account": account.name,
                    "stamp": account.stamp,
                    "created_at": now.isoformat(),
                    "expires_at": session.expires_at.isoformat(),
                },
            )
            pipe.expireat(session.key, session.expires_at)
            pipe.execute()
        return token, session

    def find(self, token: str, *, api_tokens: bool = False) -> Session | None:
        """The living session of a token, or None: unknown, expired, or the account was changed since.

        Args:
            api_tokens: also take an API token; a cookie never holds one.
        """
        if api_tokens and token.startswith(TOKEN_PREFIX):
            found = self._tokens.find(token)
            if found is None:
                return None
            return Session(found[0].digest, found[1], found[0].created_at, found[0].expires_at)
        if len(token) != _TOKEN_LENGTH or not token.isascii():
            return None
        return self._read(_key(token))

    def lives(self, session: Session) -> bool:
        """Whether nothing has changed: the session or token is there, and its rights are what they were."""
        if session.access.token is None:
            return self._read(session.key) is not None
        again = self._tokens.again(session.key)
        return again is not None and again[1] == session.access

    def close(self, session: Session) -> None:
        self._redis.delete(session.key)

    def _read(self, key: str) -> Session | None:
        found = self._redis.eval(_READ, 2, key, ACCOUNTS)
        if not found:
            return None
        _, stamp, created_at, expires_at_text, text = found
        account = read_account(text) if text is not None else None
        expires_at = datetime.fromisoformat(expires_at_text.decode())
        if (
            account is None
            or not account.active
            or not secrets.compare_digest(stamp.decode(), account.stamp)
            or expires_at <= datetime.now(UTC)
        ):
            self._redis.delete(key)
            return None
        return Session(key, account.access(), datetime.fromisoformat(created_at.decode()), expires_at)


def _key(token: str) -> str:
    return _PREFIX + hashlib.sha256(token.encode()).hexdigest()
