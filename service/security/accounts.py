"""Accounts in Redis, where every replica sees a change at once and backups find them.

Every change is one step of a script that compares what is there with what was read, checks that the one who asks
is still who they were, and refuses to leave the installation without an administrator.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import structlog

from service.gallery.records import CAMERA_ID
from service.security.access import Access, Role
from service.security.passwords import check_password, fresh_password, hashed, matches

if TYPE_CHECKING:
    from service.security.oidc import Identity

__all__ = [
    "ADMIN",
    "Account",
    "AccountError",
    "AccountExists",
    "AccountMissing",
    "AccountStore",
    "account_name",
    "read_account",
]

log = structlog.get_logger("tapetum.accounts")

ADMIN = "admin"
MAX_CAMERAS = 1000
ACCOUNTS = "tapetum:accounts"  # hash: name -> JSON
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_RESERVED = frozenset({"me"})

# KEYS: accounts. ARGV: name, what is there ('' none), what comes ('' removes), who asks ('' the console), their stamp.
# An administrator of every camera is what must not run out.
_CHANGE = """#!lua
local function leads(text)
  local a = cjson.decode(text)
  return a.active and a.role == 'admin' and a.cameras == cjson.null
end
if ARGV[4] ~= '' then
  local asker = redis.call('HGET', KEYS[1], ARGV[4])
  if not asker or cjson.decode(asker).stamp ~= ARGV[5] then return 'asker' end
end
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 'conflict' end
if ARGV[2] ~= '' and leads(ARGV[2]) and (ARGV[3] == '' or not leads(ARGV[3])) then
  local others = 0
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if all[i] ~= ARGV[1] and leads(all[i + 1]) then others = others + 1 end
  end
  if others == 0 then return 'last' end
end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 'done'
"""


class AccountError(ValueError):
    """The change cannot be made; the message is a sentence for the one who asked."""


class AccountMissing(AccountError):  # noqa: N818 - a kind of AccountError
    """There is no such account."""


class AccountExists(AccountError):  # noqa: N818 - a kind of AccountError
    """The name is taken."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account.

    Attributes:
        cameras: ids it may see; None for all.
        password_id: changes with every password, and when the login service grants nothing; API tokens end with it.
        stamp: changes with every change of the account; sessions and sockets end with it.
        identity: who it is at the login service; such an account has no password, and its role and cameras come from
            there with every login. None for one that logs in with a password.
    """

    name: str
    role: Role
    cameras: frozenset[str] | None
    active: bool
    password_hash: str = field(repr=False)
    password_id: str = field(repr=False)
    stamp: str = field(repr=False)
    created_at: datetime
    changed_at: datetime
    identity: str | None = None

    def access(self, *, token: str | None = None) -> Access:
        return Access(self.name, self.role, self.cameras, token, self.stamp)


def account_name(typed: str) -> str:
    """What was typed as the name of an account that could exist: lower-case ASCII, so that no two look alike.

    Raises:
        AccountError: it cannot be one.
    """
    name = typed.lower() if typed.isascii() else ""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise AccountError("account: expected 1 to 64 of a-z, 0-9 and . _ @ -, beginning with a letter or figure")
    return name


class AccountStore:
    """Accounts in Redis. Every call may raise ``redis.RedisError``; changes raise AccountError."""

    def __init__(self, client: Any) -> None:
        self._redis = client
        self._change = client.register_script(_CHANGE)

    # -- reading ---------------------------------------------------------------------------------

    def get(self, name: str) -> Account | None:
        text = self._redis.hget(ACCOUNTS, name)
        return None if text is None else read_account(text)

    def list(self) -> list[Account]:
        """All accounts by name."""
        return sorted((read_account(text) for text in self._redis.hvals(ACCOUNTS)), key=lambda account: account.name)

    def born(self, name: str) -> datetime:
        """When an account was made: what is older belonged to another of the same name, and so does all without one."""
        account = self.get(name)
        return account.created_at if account is not None else datetime.max.replace(tzinfo=UTC)

    def verify(self, typed: str, password: str) -> Account | None:
        """The active account if name and password are right, else None: every mistake takes the same time."""
        try:
            account = self.get(account_name(typed))
        except AccountError:
            account = None
        right = matches((account.password_hash or None) if account else None, password)
        return account if account is not None and account.active and right else None

    # -- changing --------------------------------------------------------------------------------

    def add(
        self, name: str, password: str, role: Role, cameras: Iterable[str] | None = None, *, by: Access | None = None
    ) -> Account:
        """Make an account. Raises AccountExists, or AccountError for a name, password or camera that is none."""
        name = account_name(name)
        _check(lambda: check_password(password, name))
        now = datetime.now(UTC)
        account = Account(
            name, role, _scope(cameras), True, hashed(password), secrets.token_hex(16), secrets.token_hex(16), now, now
        )
        if self._apply(name, b"", account, by) == "conflict":
            raise AccountExists(f"There is an account “{name}” already.")
        return account

    def set(
        self,
        name: str,
        *,
        role: Role | None = None,
        cameras: Iterable[str] | None = None,
        every_camera: bool = False,
        active: bool | None = None,
        password: str | None = None,
        by: Access | None = None,
    ) -> Account:
        """Change what is given; None leaves as it is, `every_camera` lifts the scope.

        Raises:
            AccountMissing, AccountError: also when no administrator of every camera would be left.
        """
        if password is not None:
            _check(lambda: check_password(password, name))
        new_hash = None if password is None else hashed(password)

        def changed(old: Account) -> Account:
            if old.identity is not None and password is not None:
                raise AccountError("This account logs in at the login service and has no password.")
            if old.identity is not None and (role is not None or every_camera or cameras is not None):
                raise AccountError("Role and cameras of this account come from the login service with every login.")
            new = replace(old, role=role or old.role, active=old.active if active is None else active)
            if every_camera or cameras is not None:
                new = replace(new, cameras=None if every_camera else _scope(cameras))
            if new_hash is not None:
                new = replace(new, password_hash=new_hash, password_id=secrets.token_hex(16))
            return new

        return self._edit(name, changed, by)

    def remove(self, name: str, *, by: Access | None = None) -> None:
        """Raises AccountMissing, or AccountError for the last administrator of every camera."""
        self._edit(name, lambda _: None, by)

    def of_provider(self, identity: Identity) -> Account:
        """The account of somebody at the login service, with what they are granted now. `take_in` saves it.

        Raises:
            AccountError: the name cannot be one, or is taken by an account that is not theirs.
        """
        there = self._bound_to(identity.key)
        if there is not None:
            return replace(there, role=identity.role, cameras=_scope(identity.cameras))
        name, now = account_name(identity.name), datetime.now(UTC)
        if name == ADMIN or self.get(name) is not None:
            raise AccountExists(f"There is an account “{name}” already, which logs in another way.")
        stamps = secrets.token_hex(16), secrets.token_hex(16)
        return Account(name, identity.role, _scope(identity.cameras), True, "", *stamps, now, now, identity.key)

    def take_in(self, account: Account) -> Account:
        """Make or change an account as `of_provider` gave it; the same again changes nothing, so sessions go on."""
        if self._redis.hget(ACCOUNTS, account.name) is None and self._apply(account.name, b"", account, None) == "done":
            return account
        there = self.get(account.name)
        if there is None or there.identity != account.identity:
            raise AccountExists(f"There is an account “{account.name}” already, which logs in another way.")
        if (there.role, there.cameras) == (account.role, account.cameras):
            return there
        return self._edit(account.name, lambda old: replace(old, role=account.role, cameras=account.cameras), None)

    def end_logins(self, identity: str) -> None:
        """Sessions and API tokens of somebody at the login service end, if they have an account; it stays."""
        there = self._bound_to(identity)
        if there is not None:
            with suppress(AccountMissing):  # removed meanwhile, which ends them too
                self._edit(there.name, lambda old: replace(old, password_id=secrets.token_hex(16)), None)

    def _bound_to(self, identity: str) -> Account | None:
        return next((account for account in self.list() if account.identity == identity), None)

    def ensure_admin(self) -> str | None:
        """Make the account admin in an installation that has none. Returns the password only when it was made."""
        if self._redis.exists(ACCOUNTS):
            return None
        password = fresh_password()
        try:
            self.add(ADMIN, password, Role.ADMIN)
        except AccountExists:  # another process was faster, and shows its own
            return None
        return password

    def reset_admin(self, password: str | None = None) -> str:
        """The way back in for who has the machine: admin gets a new password, its role, all cameras, and works."""
        password = password or fresh_password()
        try:
            self.set(ADMIN, role=Role.ADMIN, every_camera=True, active=True, password=password)
        except AccountMissing:
            self.add(ADMIN, password, Role.ADMIN)
        return password

    def _edit(self, name: str, changed: Callable[[Account], Account | None], by: Access | None) -> Account:
        for _ in range(20):
            text = self._redis.hget(ACCOUNTS, name)
            if text is None:
                raise AccountMissing(f"There is no account “{name}”.")
            old = read_account(text)
            new = changed(old)
            if new is not None:
                new = replace(new, stamp=secrets.token_hex(16), changed_at=datetime.now(UTC))
            if self._apply(name, text, new, by) != "conflict":
                return new or old
        raise AccountError("The account is being changed again and again by others. Try again.")

    def _apply(self, name: str, old: bytes, new: Account | None, by: Access | None) -> str:
        asker, stamp = (by.account, by.stamp) if by is not None else ("", "")
        said = cast("bytes", self._change([ACCOUNTS], [name, old, _write(new) if new else "", asker, stamp])).decode()
        if said == "last":
            raise AccountError("Somebody must stay who manages all cameras: this is the last administrator.")
        if said == "asker":
            raise AccountError("Your own account was changed meanwhile. Log in again.")
        if said == "done":
            log.info("account changed" if new else "account removed", account=name)
        return said


def _scope(cameras: Iterable[str] | None) -> frozenset[str] | None:
    if cameras is None:
        return None
    found = frozenset(cameras)
    if not found or len(found) > MAX_CAMERAS or not all(CAMERA_ID.fullmatch(one) for one in found):
        raise AccountError(f"cameras: expected 1 to {MAX_CAMERAS} ids of a-z, 0-9 and -")
    return found


def _check(check: Callable[[], None]) -> None:
    try:
        check()
    except ValueError as error:
        raise AccountError(str(error)) from None


def _write(account: Account) -> str:
    fields = asdict(account)
    fields["cameras"] = None if account.cameras is None else sorted(account.cameras)
    for name in ("created_at", "changed_at"):
        fields[name] = fields[name].isoformat()
    return json.dumps(fields)


def read_account(text: bytes | str) -> Account:
    """An account as it is stored under `ACCOUNTS`."""
    fields: dict[str, Any] = json.loads(text)
    fields["role"] = Role(fields["role"])
    fields["cameras"] = None if fields["cameras"] is None else frozenset(fields["cameras"])
    for name in ("created_at", "changed_at"):
        fields[name] = datetime.fromisoformat(fields[name])
    return Account(**fields)
