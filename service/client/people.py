"""Accounts, API tokens and the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from service.api.schema_people import (
    AuditEntry,
    AuditPage,
    AuditVerification,
    PasswordChange,
    TokenCreate,
    TokenCreated,
    TokenInfo,
    TokenList,
    User,
    UserChange,
    UserCreate,
    UserCreated,
    UserList,
)
from service.client.noun import Noun

__all__ = ["Audit", "Tokens", "Users"]


class Users(Noun):
    def list(self) -> Iterator[User]:
        return self._api.each(UserList, "/users")

    def get(self, account: str) -> User:
        return self._api.get(User, f"/users/{account}")

    def add(self, user: UserCreate, *, key: str | None = None) -> UserCreated:
        """Without a password a fresh one is made, and told this once."""
        return self._api.create(UserCreated, "/users", user, key)

    def change(self, account: str, change: UserChange) -> User:
        return self._api.call(User, "PATCH", f"/users/{account}", change)

    def remove(self, account: str) -> None:
        self._api.send("DELETE", f"/users/{account}")

    def change_own_password(self, current: str, new: str) -> None:
        """Every session and token of the account ends."""
        self._api.send("POST", "/users/me/password", PasswordChange(current=current, new=new))


class Tokens(Noun):
    def list(self, account: str | None = None) -> Iterator[TokenInfo]:
        """One's own, or with the right to manage users another's."""
        return iter(self._api.get(TokenList, "/tokens", account=account).items)

    def add(self, token: TokenCreate, *, key: str | None = None) -> TokenCreated:
        return self._api.create(TokenCreated, "/tokens", token, key)

    def revoke(self, token_id: str) -> None:
        self._api.send("DELETE", f"/tokens/{token_id}")


class Audit(Noun):
    def list(
        self,
        *,
        event: str | None = None,
        account: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 200,
    ) -> Iterator[AuditEntry]:
        """Newest first; pages are fetched as they are looked at."""
        return self._api.each(
            AuditPage,
            "/audit",
            event=event,
            account=account,
            since=since.isoformat() if since else None,
            until=until.isoformat() if until else None,
            limit=page_size,
        )

    def verify(self) -> AuditVerification:
        """Have every hash recomputed."""
        return self._api.get(AuditVerification, "/audit/verification")
