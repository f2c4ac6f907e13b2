"""Accounts and API tokens from the console of the machine: whoever has its Redis has the right."""

from __future__ import annotations

import getpass
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.console import configure_logging, fail, print_json
from service.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from service.audit import Trail
    from service.security.access import Role as AccountRole
    from service.security.people import People

__all__ = ["console_trail", "register"]

users_app = typer.Typer(help="Accounts: who may log in, what they may, which cameras they see.", no_args_is_help=True)
tokens_app = typer.Typer(help="API tokens for programs.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json")]
Camera = Annotated[list[str] | None, typer.Option(help="Only this camera (id); may be repeated. Else all.")]
Role = Annotated[str, typer.Option(help="viewer, operator or admin.")]


def register(app: typer.Typer) -> None:
    app.command()(password)
    app.add_typer(users_app, name="users")
    app.add_typer(tokens_app, name="tokens")


def password() -> None:
    """Make a new password for the account admin, the way back in. Ends its sessions and tokens."""
    from service.audit import AuditUnavailable

    with ExitStack() as stack:
        people = _people(_client(stack, start=True))
        try:
            people.audit.append("password.reset", people.trail, user="admin")
        except AuditUnavailable:  # who has the machine gets in; a log that is broken may be why they must
            typer.echo("The audit log cannot be written: this is not recorded.", err=True)
        typer.echo(f"User admin, password {people.accounts.reset_admin()}")


@users_app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """All accounts."""
    with ExitStack() as stack:
        accounts = _people(_client(stack)).list()
    rows = [
        {
            "account": a.name,
            "role": a.role.value,
            "cameras": None if a.cameras is None else sorted(a.cameras),
            "active": a.active,
            "changed_at": a.changed_at.isoformat(timespec="seconds"),
        }
        for a in accounts
    ]
    if as_json:
        print_json(rows)
        return
    for account in accounts:
        scope = "all cameras" if account.cameras is None else ", ".join(sorted(account.cameras))
        typer.echo(f"{account.name:<24} {account.role:<9} {'' if account.active else 'disabled  '}{scope}")


@users_app.command("add")
def add_user(
    account: Annotated[str, typer.Argument(help="a-z, 0-9 and . _ @ -")],
    role: Role = "viewer",
    camera: Camera = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask for the password instead of making one.")] = False,
) -> None:
    """Add an account; prints its fresh password once. TAPETUM_NEW_PASSWORD gives one instead."""
    with ExitStack() as stack:
        client = _client(stack)
        made, fresh = _people(client).add(account, _role(role), camera, _new_password(ask))
        typer.echo(f"User {made.name}, password {fresh}" if fresh else f"User {made.name} added")
        _tell_unknown(client, camera)


@users_app.command("set")
def set_user(
    account: str,
    role: Annotated[str | None, typer.Option(help="viewer, operator or admin.")] = None,
    camera: Camera = None,
    all_cameras: Annotated[bool, typer.Option("--all-cameras", help="Lift the scope.")] = False,
    active: Annotated[bool | None, typer.Option("--enable/--disable")] = None,
    new_password: Annotated[bool, typer.Option("--password", help="Make a fresh password.")] = False,
) -> None:
    """Change an account; its sessions end, with a new password its tokens too."""
    from service.security.passwords import fresh_password

    fresh = os.environ.get("TAPETUM_NEW_PASSWORD") or (fresh_password() if new_password else None)
    with ExitStack() as stack:
        client = _client(stack)
        _people(client).set(
            account,
            role=_role(role) if role else None,
            cameras=camera,
            every_camera=all_cameras,
            active=active,
            password=fresh,
        )
        typer.echo(f"User {account}, password {fresh}" if fresh and new_password else f"User {account} changed")
        _tell_unknown(client, camera)


@users_app.command("remove")
def remove_user(account: str) -> None:
    """Remove an account, its sessions and tokens. What it did stays in the audit log."""
    with ExitStack() as stack:
        _people(_client(stack)).remove(account)
    typer.echo(f"removed {account}")


@tokens_app.command("list")
def list_tokens(account: str, as_json: AsJson = False) -> None:
    """The tokens of an account."""
    with ExitStack() as stack:
        tokens = _people(_client(stack)).list_tokens(account)
    rows = [
        {
            "id": t.id,
            "name": t.name,
            "role": t.role.value,
            "cameras": None if t.cameras is None else sorted(t.cameras),
            "expires_at": t.expires_at.isoformat(timespec="seconds"),
            "last_used_at": t.last_used_at.isoformat(timespec="seconds") if t.last_used_at else None,
        }
        for t in tokens
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['id']}  {row['role']:<9} until {row['expires_at']}  {row['name']}")


@tokens_app.command("add")
def add_token(
    account: Annotated[str, typer.Argument(help="Whose; the token can never do more.")],
    name: Annotated[str, typer.Argument(help="What it is for.")],
    days: Annotated[float, typer.Option(help="Until it expires.")] = 90,
    role: Annotated[str | None, typer.Option(help="viewer, operator or admin; at most the account's.")] = None,
    camera: Camera = None,
) -> None:
    """Make an API token; it is printed once and kept as a hash."""
    with ExitStack() as stack:
        client = _client(stack)
        secret, _ = _people(client).add_token(
            name, days=days, role=_role(role) if role else None, cameras=camera, account=account
        )
        typer.echo(secret)
        _tell_unknown(client, camera)


@tokens_app.command("revoke")
def revoke_token(token_id: str) -> None:
    """End a token at once."""
    with ExitStack() as stack:
        if not _people(_client(stack)).revoke_token(token_id):
            fail(f"there is no token {token_id}")
    typer.echo(f"revoked {token_id}")


def _client(stack: ExitStack, *, start: bool = False) -> redis.Redis:
    """Redis of this installation. With `start`, its embedded server is started when it does not run."""
    from service.redis_server import connect, embedded_redis

    settings = load_settings()
    configure_logging(settings)
    if start and settings.redis_url is None:
        stack.enter_context(embedded_redis(settings))
    client = connect(settings)
    stack.callback(client.close)
    return client


def _people(client: redis.Redis) -> People:
    from service.audit import AuditLog
    from service.security.access import Access
    from service.security.access import Role as AccountRole
    from service.security.accounts import AccountStore
    from service.security.people import People
    from service.security.tokens import TokenStore

    accounts = AccountStore(client)
    trail = console_trail()
    return People(
        accounts=accounts,
        tokens=TokenStore(client, accounts),
        audit=AuditLog(client),
        access=Access(trail.account or "console", AccountRole.ADMIN),
        trail=trail,
        by=None,
    )


def _tell_unknown(client: redis.Redis, cameras: Sequence[str] | None) -> None:
    """Say which cameras of a scope are not there: meant for later, or mistyped."""
    from service.camera_registry import CameraRegistry

    there = {record.config.id for record in CameraRegistry(client).list()} if cameras else set()
    for one in cameras or ():
        if one not in there:
            typer.echo(f"There is no camera {one} yet.", err=True)


def console_trail() -> Trail:
    """The user of the machine, for the audit log."""
    from service.audit import Trail

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        user = str(os.getuid())
    return Trail(account=f"console:{user}")


def _role(name: str) -> AccountRole:
    from service.security.access import Role as AccountRole

    try:
        return AccountRole(name)
    except ValueError:
        fail(f"role: expected viewer, operator or admin, got {name}")


def _new_password(ask: bool) -> str | None:
    if ask:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return os.environ.get("TAPETUM_NEW_PASSWORD")
