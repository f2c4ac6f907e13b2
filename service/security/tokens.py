"""API tokens for programs: named, expiring, never wider than their owner, kept as hashes."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from redis.exceptions import RedisError

from service.security.access import Access, Role, narrower, wider_than
from service.security.accounts import ACCOUNTS, Account, AccountStore

__all__ = ["TOKEN_PREFIX", "ApiToken", "TokenError", "TokenStore"]

TOKEN_PREFIX = "tapetum_"  # noqa: S105  so that scanners of source code and logs find one that was left there
MAX_DAYS = 366
MAX_TOKENS = 50  # of one account
_LENGTH = len(TOKEN_PREFIX) + 43
_TOKENS = "tapetum:tokens"  # hash: SHA-256 of the token -> JSON
_USED = "tapetum:tokens:used"  # hash: the same -> ISO time
_USED_EVERY_S = 60.0

# KEYS: tokens, accounts. ARGV: owner, most of one owner, hash, JSON, the owner's password_id, who asks ('' the
# console), their stamp. What was read before may have been changed since by a password reset.
_ADD = """#!lua
local function now(name)
  local text = redis.call('HGET', KEYS[2], name)
  return text and cjson.decode(text) or {}
end
if ARGV[6] ~= '' and now(ARGV[6]).stamp ~= ARGV[7] then return 'asker' end
if now(ARGV[1]).password_id ~= ARGV[5] then return 'owner' end
local held = 0
for _, text in ipairs(redis.call('HVALS', KEYS[1])) do
  if cjson.decode(text).account == ARGV[1] then held = held + 1 end
end
if held >= tonumber(ARGV[2]) then return 'many' end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
return 'done'
"""


_REFUSALS = {
    "asker": "Your own account was changed meanwhile. Log in again.",
    "owner": "The account was changed meanwhile. Try again.",
    "many": f"An account has at most {MAX_TOKENS} tokens; revoke one first.",
}


class TokenError(ValueError):
    """The token cannot be made; the message is a sentence for the one who asked."""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """One token, without its secret.

    Attributes:
        digest: SHA-256 of the secret, the key it is kept under.
        role, cameras: at most the owner's when it was made; what counts is that and the owner's now.
        password_id: of the owner; a new password ends the token.
    """

    id: str
    name: str
    account: str
    role: Role
    cameras: frozenset[str] | None
    created_at: datetime
    expires_at: datetime
    digest: str = field(repr=False)
    password_id: str = field(repr=False)
    last_used_at: datetime | None = None


class TokenStore:
    """Tokens in Redis. Every call may raise ``redis.RedisError``."""

    def __init__(self, client: Any, accounts: AccountStore) -> None:
        self._redis = client
        self._accounts = accounts
        self._add = client.register_script(_ADD)
        self._lock = threading.Lock()
        self._noted: dict[str, float] = {}

    def add(
        self,
        owner: Account,
        name: str,
        *,
        days: float,
        role: Role | None = None,
        cameras: Iterable[str] | None = None,
        by: Access | None = None,
    ) -> tuple[str, ApiToken]:
        """A new token and what is kept of it; the secret is shown this once.

        Args:
            by: who asks, None for the console; must be who they were in the step that adds it.

        Raises:
            TokenError: wider than the owner, too long-lived, too many, or asked for by a login that has ended.
        """
        if not 0 < days <= MAX_DAYS:
            raise TokenError(f"expires_in_days: expected above 0 and at most {MAX_DAYS}, got {days:g}")
        chosen = owner.cameras if cameras is None else frozenset(cameras)
        role = role or owner.role
        if wider_than(role, chosen, owner.access()):
            raise TokenError("A token cannot do more, or see more cameras, than its owner.")
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        token = ApiToken(
            id=secrets.token_hex(8),
            name=name,
            account=owner.name,
            role=role,
            cameras=chosen,
            created_at=now,
            expires_at=now + timedelta(days=days),
            digest=_digest(secret),
            password_id=owner.password_id,
        )
        self.list(owner.name)  # clears away what has expired
        asker, stamp = (by.account, by.stamp) if by is not None else ("", "")
        arguments = [owner.name, MAX_TOKENS, token.digest, _write(token), owner.password_id, asker, stamp]
        said = cast("bytes", self._add([_TOKENS, ACCOUNTS], arguments)).decode()
        if said != "done":
            raise TokenError(_REFUSALS[said])
        return secret, token

    def list(self, account: str | None = None) -> list[ApiToken]:
        """Tokens of one account or of all, newest first; expired ones are forgotten on the way."""
        found, now = [], datetime.now(UTC)
        used = self._redis.hgetall(_USED)
        for digest, text in self._redis.hgetall(_TOKENS).items():
            token = _read(digest.decode(), text)
            if token.expires_at <= now:
                self._forget(token.digest)
            elif account is None or token.account == account:
                last = used.get(digest)
                found.append(replace(token, last_used_at=datetime.fromisoformat(last.decode()) if last else None))
        return sorted(found, key=lambda token: token.created_at, reverse=True)

    def revoke(self, token_id: str, account: str | None = None) -> ApiToken | None:
        """End a token, of one account or of any. None when there is no such token."""
        for token in self.list(account):
            if secrets.compare_digest(token.id.encode(), token_id.encode("utf-8", "replace")):
                self._forget(token.digest)
                return token
        return None

    def forget_account(self, account: str) -> int:
        """End all tokens of an account that was removed. Returns how many."""
        tokens = self.list(account)
        for token in tokens:
            self._forget(token.digest)
        return len(tokens)

    def find(self, secret: str) -> tuple[ApiToken, Access] | None:
        """The living token of a secret and what it may now, or None: unknown, expired, revoked, owner gone."""
        if len(secret) != _LENGTH or not secret.isascii() or not secret.startswith(TOKEN_PREFIX):
            return None
        return self.again(_digest(secret))

    def again(self, digest: str) -> tuple[ApiToken, Access] | None:
        """The same by the digest, to look again while a long answer is being sent."""
        text = self._redis.hget(_TOKENS, digest)
        if text is None:
            return None
        token = _read(digest, text)
        owner = self._accounts.get(token.account)
        if (
            owner is None
            or not owner.active
            or not secrets.compare_digest(owner.password_id, token.password_id)
            or token.expires_at <= datetime.now(UTC)
        ):
            return None
        self._note_use(digest)
        role, cameras = narrower(token.role, token.cameras, owner.role, owner.cameras)
        return token, Access(owner.name, role, cameras, token.name, owner.stamp)

    def _note_use(self, digest: str) -> None:
        now_s = time.monotonic()
        with self._lock:
            if now_s - self._noted.get(digest, -_USED_EVERY_S) < _USED_EVERY_S:
                return
            self._noted[digest] = now_s
        with suppress(RedisError):  # a full Redis is no reason to refuse who only reads
            self._redis.hset(_USED, digest, datetime.now(UTC).isoformat())

    def _forget(self, digest: str) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(_TOKENS, digest)
            pipe.hdel(_USED, digest)
            pipe.execute()
        with self._lock:
            self._noted.pop(digest, None)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _write(token: ApiToken) -> str:
    fields = asdict(token)
    del fields["digest"], fields["last_used_at"]
    fields["cameras"] = None if token.cameras is None else sorted(token.cameras)
    for name in ("created_at", "expires_at"):
        fields[name] = fields[name].isoformat()
    return json.dumps(fields)


def _read(digest: str, text: bytes | str) -> ApiToken:
    fields: dict[str, Any] = json.loads(text)
    fields["role"] = Role(fields["role"])
    fields["cameras"] = None if fields["cameras"] is None else frozenset(fields["cameras"])
    for name in ("created_at", "expires_at"):
        fields[name] = datetime.fromisoformat(fields[name])
    return ApiToken(digest=digest, **fields)
