"""Accounts: list, add, change, remove; everybody's own password."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response, status
from starlette.concurrency import run_in_threadpool

from service.api.access import ManagingUsers, OwnAccount, trail_of
from service.api.idempotency import IdempotencyKey
from service.api.paging import Cursor, Limit, page_of
from service.api.schema_people import PasswordChange, User, UserChange, UserCreate, UserCreated, UserList
from service.api.session import too_many_attempts
from service.problems import Problem
from service.security.accounts import Account

__all__ = ["router"]

router = APIRouter(prefix="/users", tags=["users"])
UserPath = Annotated[str, Path(min_length=1, max_length=64, description="The account's name.", examples=["night-desk"])]
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such account."}}


@router.get("", operation_id="list_users", summary="All accounts")
async def list_users(scoped: ManagingUsers, limit: Limit = 200, cursor: Cursor = None) -> UserList:
    """By name."""
    accounts, after = page_of(await run_in_threadpool(scoped.people.list), lambda account: account.name, limit, cursor)
    return UserList(items=[_shown(account) for account in accounts], next_cursor=after)


@router.post(
    "",
    operation_id="add_user",
    summary="Add an account",
    status_code=status.HTTP_201_CREATED,
    responses={409: {"model": Problem, "description": "The name is taken, or the Idempotency-Key is."}},
)
async def add_user(
    user: UserCreate, scoped: ManagingUsers, response: Response, key: IdempotencyKey = None
) -> UserCreated:
    """Asked again with the same key, the answer has no password."""

    def add() -> tuple[Account, str | None]:
        people = scoped.people
        without_password = user.model_copy(update={"password": None})  # no hash of one is kept for a day
        return scoped.once("add_user", key, without_password).run(
            lambda: people.add(user.account, user.role, user.cameras, user.password),
            lambda made: made[0].name,
            lambda name: (people.get(name), None),
        )

    async with scoped.password_checks:
        account, password = await run_in_threadpool(add)
    response.headers["Location"] = f"/api/v1/users/{account.name}"
    return UserCreated(**_shown(account).model_dump(), password=password)


@router.post(
    "/me/password",
    operation_id="change_own_password",
    summary="Change one's own password",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={429: {"model": Problem, "description": "Too many attempts; Retry-After says how long to wait."}},
)
async def change_own_password(change: PasswordChange, request: Request, scoped: OwnAccount) -> None:
    """Every session of the account ends, this one too, and so do its API tokens. Log in again."""
    address = trail_of(request).address or "unknown"
    wait_s = await run_in_threadpool(scoped.throttle.admit, address)
    if wait_s:
        raise too_many_attempts(wait_s)
    async with scoped.password_checks:
        await run_in_threadpool(scoped.people.change_own_password, change.current, change.new)
    await run_in_threadpool(scoped.throttle.forgive, address)


@router.get("/{account}", operation_id="get_user", summary="One account", responses=_NOT_FOUND)
async def get_user(scoped: ManagingUsers, account: UserPath) -> User:
    return _shown(await run_in_threadpool(scoped.people.get, account))


@router.patch("/{account}", operation_id="change_user", summary="Change an account", responses=_NOT_FOUND)
async def change_user(change: UserChange, scoped: ManagingUsers, account: UserPath) -> User:
    """Its sessions and live pictures end at once; with a new password its API tokens end too."""
    given = change.model_fields_set

    def apply() -> Account:
        return scoped.people.set(
            account,
            role=change.role,
            cameras=change.cameras,
            every_camera="cameras" in given and change.cameras is None,
            active=change.active,
            password=change.password,
        )

    async with scoped.password_checks:
        return _shown(await run_in_threadpool(apply))


@router.delete(
    "/{account}",
    operation_id="remove_user",
    summary="Remove an account",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=_NOT_FOUND,
)
async def remove_user(scoped: ManagingUsers, account: UserPath) -> None:
    """Its sessions, live pictures and API tokens end at once. What it did stays in the audit log."""
    await run_in_threadpool(scoped.people.remove, account)


def _shown(account: Account) -> User:
    return User(
        account=account.name,
        role=account.role,
        cameras=None if account.cameras is None else sorted(account.cameras),
        active=account.active,
        single_sign_on=account.identity is not None,
        created_at=account.created_at,
        changed_at=account.changed_at,
    )
