"""Who may come in: one account, sessions, throttled login, and a gate in front of everything."""

from service.security.credentials import (
    ADMIN,
    Credentials,
    CredentialsError,
    ensure_admin_password,
    set_admin_password,
)
from service.security.gate import Gate
from service.security.sessions import Session, SessionStore
from service.security.throttle import LoginThrottle

__all__ = [
    "ADMIN",
    "Credentials",
    "CredentialsError",
    "Gate",
    "LoginThrottle",
    "Session",
    "SessionStore",
    "ensure_admin_password",
    "set_admin_password",
]
