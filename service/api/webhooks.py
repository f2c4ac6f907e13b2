"""Webhooks: where alerts are sent to."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response, status
from starlette.concurrency import run_in_threadpool

from service.alerts import Webhook, WebhookStatus
from service.api.access import ManagingWebhooks
from service.api.idempotency import IdempotencyKey, made_before
from service.api.schema_webhooks import (
    DeadLetterInfo,
    DeadLetterList,
    ResendRequest,
    Resent,
    WebhookChange,
    WebhookCreate,
    WebhookCreated,
    WebhookInfo,
    WebhookList,
    WebhookTest,
)
from service.api.watchlist import ULID_PATTERN
from service.problems import Problem

__all__ = ["router"]

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
WebhookId = Annotated[str, Path(pattern=ULID_PATTERN, examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCD"])]
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such webhook."}}
_CHANGING: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such webhook, or no such camera."},
    409: {"model": Problem, "description": "There are as many as there may be, or others are changing it."},
}


@router.get("", operation_id="list_webhooks", summary="All webhooks, and how they are doing")
async def list_webhooks(scoped: ManagingWebhooks) -> WebhookList:
    found = await run_in_threadpool(scoped.webhooks.all)
    return WebhookList(items=[WebhookInfo(**_told(*one)) for one in found])


@router.post(
    "",
    operation_id="add_webhook",
    summary="Send alerts somewhere",
    status_code=status.HTTP_201_CREATED,
    responses={**_CHANGING, **made_before(WebhookCreated)},
)
async def add_webhook(
    request: WebhookCreate, scoped: ManagingWebhooks, response: Response, key: IdempotencyKey = None
) -> WebhookCreated:
    """Messages are signed as Standard Webhooks says. The same again, with the same key, answers 200 and no secret."""

    def make() -> WebhookCreated:
        cameras = frozenset(request.cameras) if request.cameras is not None else None
        webhook, new = scoped.webhooks.add(request.name, request.url, request.secret, cameras, key, request)
        response.status_code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
        response.headers["Location"] = f"/api/v1/webhooks/{webhook.id}"
        shown = _told(*scoped.webhooks.get(webhook.id))
        return WebhookCreated(**shown, secret=webhook.secret if new and request.secret is None else None)

    return await run_in_threadpool(make)


@router.get("/{webhook_id}", operation_id="get_webhook", summary="One webhook", responses=_MISSING)
async def get_webhook(scoped: ManagingWebhooks, webhook_id: WebhookId) -> WebhookInfo:
    return WebhookInfo(**_told(*await run_in_threadpool(scoped.webhooks.get, webhook_id)))


@router.patch("/{webhook_id}", operation_id="change_webhook", summary="Change a webhook", responses=_CHANGING)
async def change_webhook(change: WebhookChange, scoped: ManagingWebhooks, webhook_id: WebhookId) -> WebhookInfo:
    """Another secret signs from the next message on, also what is sent again."""
    changes = change.given()
    if change.cameras is not None:
        changes["cameras"] = frozenset(change.cameras)
    return WebhookInfo(**_told(*await run_in_threadpool(scoped.webhooks.change, webhook_id, changes)))


@router.delete(
    "/{webhook_id}",
    operation_id="remove_webhook",
    summary="Remove a webhook",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=_MISSING,
)
async def remove_webhook(scoped: ManagingWebhooks, webhook_id: WebhookId) -> None:
    """What was to be sent to it is forgotten."""
    await run_in_threadpool(scoped.webhooks.remove, webhook_id)


@router.post(
    "/{webhook_id}/test", operation_id="test_webhook", summary="Send a message of type ping", responses=_MISSING
)
async def test_webhook(scoped: ManagingWebhooks, webhook_id: WebhookId) -> WebhookTest:
    """Says whether it arrived, or in words why not. It works also while the webhook is off."""
    async with scoped.probe_slots:
        reason = await run_in_threadpool(scoped.webhooks.test, webhook_id)
    return WebhookTest(delivered=reason is None, reason=reason)


@router.get(
    "/{webhook_id}/dead-letters",
    operation_id="list_dead_letters",
    summary="Alerts that could not be delivered",
    responses=_MISSING,
)
async def list_dead_letters(
    scoped: ManagingWebhooks,
    webhook_id: WebhookId,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=60, description="`next_cursor` of the page before.")] = None,
) -> DeadLetterList:
    found, after = await run_in_threadpool(scoped.webhooks.dead, webhook_id, limit, cursor)
    items = [
        DeadLetterInfo(alert_id=one.alert_id, given_up_at=one.given_up_at, attempts=one.attempts, error=one.error)
        for one in found
    ]
    return DeadLetterList(items=items, next_cursor=after)


@router.post(
    "/{webhook_id}/dead-letters/resend",
    operation_id="resend_dead_letters",
    summary="Send again what was given up",
    responses=_MISSING,
)
async def resend_dead_letters(request: ResendRequest, scoped: ManagingWebhooks, webhook_id: WebhookId) -> Resent:
    """These alerts, or all; with as many attempts as new ones."""
    return Resent(count=await run_in_threadpool(scoped.webhooks.resend, webhook_id, request.alert_ids))


def _told(webhook: Webhook, state: WebhookStatus) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "name": webhook.name,
        "target": webhook.origin,
        "cameras": sorted(webhook.cameras) if webhook.cameras is not None else None,
        "enabled": webhook.enabled,
        "created_at": webhook.created_at,
        "changed_at": webhook.changed_at,
        "attempted_at": state.attempted_at,
        "error": state.error,
        "waiting": state.waiting,
        "dead": state.dead,
    }
