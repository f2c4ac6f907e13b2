"""Accounts and tokens as somebody may manage them: checked, recorded first, then done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from service.audit import AuditLog, AuditUnavailable, Trail
from service.security.access import Access, Permission, Role
from service.security.accounts import Account, AccountError, AccountMissing, AccountStore, account_name
from service.security.passwords import fresh_password
from service.security.tokens import ApiToken, TokenStore

__all__ = ["People", "recorded"]


@contextmanager
def recorded(audit: AuditLog, event: str, trail: Trail, **details: Any) -> Iterator[None]:
    """Record an action before it is done; what does not happen after all gets a second entry that says so.

    Raises:
        AuditUnavailable: it cannot be recorded, and is not done.
    """
    entry = audit.append(event, trail, **details)
    try:
        yield
    except Exception as error:
        with suppress(AuditUnavailable):
            audit.append(f"{event}.undone", trail, entry=entry.seq, reason=type(error).__name__)
        raise


@dataclass(frozen=True, slots=True)
class People:
    """What one account may do to accounts and tokens.

    Every method may raise AccessDenied, AuditUnavailable and ``redis.RedisError``; changes raise AccountError or
    TokenError with a sentence for the one who asked.

    Attributes:
        access: the one who asks.
        by: the same, checked again in the step that changes; None at the console of the machine.
    """

    accounts: AccountStore
    tokens: TokenStore
    audit: AuditLog
    access: Access
    trail: Trail
    by: Access | None

    def list(self) -> list[Account]:
        self.access.require(Permission.USERS)
        return self.accounts.list()

    def get(self, name: str) -> Account:
        self.access.require(Permission.USERS)
        account = self.accounts.get(name)
        if account is None:
            raise AccountMissing(f"There is no account “{name}”.")
        return account

    def add(
        self, name: str, role: Role, cameras: Iterable[str] | None = None, password: str | None = None
    ) -> tuple[Account, str | None]:
        """Make an account; without a password a fresh one is made and returned."""
        self.access.require(Permission.USERS)
        name = account_name(name)
        made = fresh_password() if password is None else None
        with recorded(self.audit, "user.add", self.trail, user=name, role=role.value, cameras=_listed(cameras)):
            return self.accounts.add(name, made or password or "", role, cameras, by=self.by), made

    def set(
        self,
        name: str,
        *,
        role: Role | None = None,
        cameras: Iterable[str] | None = None,
        every_camera: bool = False,
        active: bool | None = None,
        password: str | None = None,
    ) -> Account:
        """Change what is given. Sessions and sockets of the account end, with a new password its tokens too."""
        self.access.require(Permission.USERS)
        details: dict[str, Any] = {"user": self.get(name).name}
        if role is not None:
            details["role"] = role.value
        if every_camera or cameras is not None:
            details["cameras"] = None if every_camera else _listed(cameras)
        if active is not None:
            details["active"] = active
        if password is not None:
            details["new_password"] = True
        with recorded(self.audit, "user.change", self.trail, **details):
            return self.accounts.set(
                name,
                role=role,
                cameras=cameras,
                every_camera=every_camera,
                active=active,
                password=password,
                by=self.by,
            )

    def renew_password(self, name: str) -> str:
        """Give an account a fresh password, which is returned; its sessions and tokens end."""
        password = fresh_password()
        self.set(name, password=password)
        return password

    def remove(self, name: str) -> None:
        self.access.require(Permission.USERS)
        with recorded(self.audit, "user.remove", self.trail, user=self.get(name).name):
            self.accounts.remove(name, by=self.by)
        self.tokens.forget_account(name)

    def has_password(self) -> bool:
        """Whether one's own account logs in with one here, and not at the login service."""
        own = self.accounts.get(self.access.account)
        return own is not None and own.identity is None

    def change_own_password(self, current: str, new: str) -> None:
        """Every session and token of the account ends. Raises AccountError for a wrong current password."""
        self.access.require(Permission.OWN_ACCOUNT)
        name = self.access.account
        own = self.accounts.get(name)
        if own is not None and own.identity is not None:
            raise AccountError("You log in at the login service, and change your password there.")
        if self.accounts.verify(name, current) is None:
            self.audit.append("password.refused", self.trail)
            raise AccountError("The current password is wrong.")
        with recorded(self.audit, "password.change", self.trail):
            self.accounts.set(name, password=new, by=self.by)

    # -- tokens ----------------------------------------------------------------------------------

    def list_tokens(self, account: str | None = None) -> Sequence[ApiToken]:
        """Tokens of an account, by default one's own. Those of others need the right to manage users."""
        name = account or self.access.account
        self.access.require(Permission.OWN_ACCOUNT if name == self.access.account else Permission.USERS)
        return self.tokens.list(name)

    def add_token(
        self,
        name: str,
        *,
        days: float,
        role: Role | None = None,
        cameras: Iterable[str] | None = None,
        account: str | None = None,
    ) -> tuple[str, ApiToken]:
        """A token for oneself, or for another account with the right to manage users. Returns the secret, once."""
        owner_name = account or self.access.account
        self.access.require(Permission.OWN_ACCOUNT if owner_name == self.access.account else Permission.USERS)
        owner = self.accounts.get(owner_name)
        if owner is None:
            raise AccountMissing(f"There is no account “{owner_name}”.")
        details = {"user": owner_name, "name": name, "role": (role or owner.role).value, "cameras": _listed(cameras)}
        with recorded(self.audit, "token.add", self.trail, **details, days=days):
            return self.tokens.add(owner, name, days=days, role=role, cameras=cameras, by=self.by)

    def revoke_token(self, token_id: str) -> bool:
        """End a token of one's own, or with the right to manage users anybody's. False when there is none."""
        everybody = self.access.may(Permission.USERS)
        if not everybody:
            self.access.require(Permission.OWN_ACCOUNT)
        owner = None if everybody else self.access.account
        found = next((t for t in self.tokens.list(owner) if t.id == token_id), None)
        if found is None:
            return False
        with recorded(self.audit, "token.revoke", self.trail, user=found.account, name=found.name, token_id=found.id):
            return self.tokens.revoke(found.id, owner) is not None


def _listed(cameras: Iterable[str] | None) -> list[str] | None:
    return None if cameras is None else sorted(cameras)
