"""API tokens: one's own, and for who manages users everybody's."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, status
from starlette.concurrency import run_in_threadpool

from service.api.access import LoggedIn, OwnAccount
from service.api.idempotency import IdempotencyKey
from service.api.schema_people import TokenCreate, TokenCreated, TokenInfo, TokenList
from service.problems import Problem, ProblemError
from service.security.tokens import ApiToken

__all__ = ["router"]

router = APIRouter(prefix="/tokens", tags=["tokens"])
TokenPath = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", examples=["0f3a5c7e9b1d2f46"])]
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such token."}}


@router.get("", operation_id="list_tokens", summary="API tokens of an account")
async def list_tokens(
    scoped: LoggedIn,
    account: Annotated[
        str | None, Query(min_length=1, max_length=64, description="Of whom; one's own when left out.")
    ] = None,
) -> TokenList:
    """The tokens of others are for who manages users."""
    tokens = await run_in_threadpool(scoped.people.list_tokens, account)
    return TokenList(items=[_shown(token) for token in tokens])


@router.post(
    "",
    operation_id="add_token",
    summary="Make an API token",
    status_code=status.HTTP_201_CREATED,
    responses={409: {"model": Problem, "description": "The Idempotency-Key was used with another request."}},
)
async def add_token(token: TokenCreate, scoped: OwnAccount, key: IdempotencyKey = None) -> TokenCreated:
    """For a program that acts for this account. It ends when it expires, is revoked, or the account's password
    changes, and can never do more than the account itself. A token cannot make tokens. Asked again with the same
    key, because its secret was lost with the answer, another one takes its place."""

    def make() -> tuple[str, ApiToken]:
        return scoped.people.add_token(token.name, days=token.expires_in_days, role=token.role, cameras=token.cameras)

    def make_once() -> tuple[str, ApiToken]:
        once = scoped.once("add_token", key, token)

        def instead_of(lost: str) -> tuple[str, ApiToken]:
            scoped.people.revoke_token(lost)
            another = make()
            once.keep(another[1].id)
            return another

        return once.run(make, lambda made: made[1].id, instead_of)

    secret, made = await run_in_threadpool(make_once)
    return TokenCreated(**_shown(made).model_dump(), token=secret)


@router.delete(
    "/{token_id}",
    operation_id="revoke_token",
    summary="Revoke an API token",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=_NOT_FOUND,
)
async def revoke_token(scoped: LoggedIn, token_id: TokenPath) -> None:
    """It is worthless from here on. The tokens of others are for who manages users."""
    if not await run_in_threadpool(scoped.people.revoke_token, token_id):
        raise ProblemError(404, "token-not-found", "There is no such token.")


def _shown(token: ApiToken) -> TokenInfo:
    return TokenInfo(
        id=token.id,
        name=token.name,
        account=token.account,
        role=token.role,
        cameras=None if token.cameras is None else sorted(token.cameras),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
    )
