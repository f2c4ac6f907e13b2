"""Sessions in Redis: random tokens, stored hashed, shared by all API processes."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from service.security.credentials import Credential, Credentials

__all__ = ["Session", "SessionStore"]

_PREFIX = "tapetum:session:"
_TOKEN_LENGTH = 43  # 256 bits in URL-safe base64


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in, since when, and until when. `key` names the stored record, never the token."""

    key: str
    account: str
    created_at: datetime
    expires_at: datetime


class SessionStore:
    """Opens, finds and ends sessions. Every call goes to Redis and may raise ``redis.RedisError``."""

    def __init__(self, redis: Any, credentials: Credentials, lifetime: timedelta) -> None:
        self._redis = redis
        self._credentials = credentials
        self.lifetime = lifetime

    def open(self, credential: Credential) -> tuple[str, Session]:
        """A new token and its session. The token is not kept."""
        token = secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        session = Session(_key(token), credential.account, now, now + self.lifetime)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(
                session.key,
                mapping={
                    "account": session.account,
                    "password_id": credential.password_id,
                    "created_at": now.isoformat(),
                    "expires_at": session.expires_at.isoformat(),
                },
            )
            pipe.expireat(session.key, session.expires_at)
            pipe.execute()
        return token, session

    def find(self, token: str) -> Session | None:
        """The living session of a token, or None: unknown, expired, or made with an older password."""
        if len(token) != _TOKEN_LENGTH or not token.isascii():
            return None
        return self.again(_key(token))

    def again(self, key: str) -> Session | None:
        """The same by the session's key, to look again while a long answer is being sent."""
        fields = {_text(k): _text(v) for k, v in self._redis.hgetall(key).items()}
        if not fields:
            return None
        current = self._credentials.current()
        same_password = secrets.compare_digest(fields.get("password_id", ""), current.password_id)
        expires_at = datetime.fromisoformat(fields["expires_at"])
        if not same_password or fields["account"] != current.account or expires_at <= datetime.now(UTC):
            self._redis.delete(key)
            return None
        return Session(key, fields["account"], datetime.fromisoformat(fields["created_at"]), expires_at)

    def close(self, session: Session) -> None:
        self._redis.delete(session.key)


def _key(token: str) -> str:
    return _PREFIX + hashlib.sha256(token.encode()).hexdigest()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
