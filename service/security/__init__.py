"""Who may come in and what they may: accounts, roles and scopes, sessions, tokens, and a gate in front of it all."""

from service.security.access import Access, AccessDenied, Permission, Role
from service.security.accounts import (
    ADMIN,
    Account,
    AccountError,
    AccountExists,
    AccountMissing,
    AccountStore,
    account_name,
)
from service.security.gate import Gate
from service.security.sessions import Session, SessionStore
from service.security.throttle import LoginThrottle
from service.security.tokens import ApiToken, TokenError, TokenStore

__all__ = [
    "ADMIN",
    "Access",
    "AccessDenied",
    "Account",
    "AccountError",
    "AccountExists",
    "AccountMissing",
    "AccountStore",
    "ApiToken",
    "Gate",
    "LoginThrottle",
    "Permission",
    "Role",
    "Session",
    "SessionStore",
    "TokenError",
    "TokenStore",
    "account_name",
]
