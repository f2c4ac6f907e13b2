"""Bounds how many bytes a request may send and how long it may take, while they come in."""

from __future__ import annotations

import asyncio
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import ProblemError, problem_response

__all__ = ["BodyLimit"]

JSON_LIMIT_BYTES = 256 * 1024
MULTIPART_OVERHEAD_BYTES = 16 * 1024
JSON_LIMIT_S = 20.0
UPLOAD_LIMIT_S = 120.0


class BodyLimit:
    """ASGI middleware: small JSON bodies everywhere, one picture where pictures go.

    Args:
        uploads: matches the paths of those places.
    """

    def __init__(self, app: ASGIApp, *, uploads: re.Pattern[str], upload_bytes: int) -> None:
        self._app = app
        self._uploads = uploads
        self._upload_limit = upload_bytes + MULTIPART_OVERHEAD_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_upload = self._uploads.fullmatch(scope["path"]) is not None
        limit = self._upload_limit if is_upload else JSON_LIMIT_BYTES
        limit_s = UPLOAD_LIMIT_S if is_upload else JSON_LIMIT_S
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdigit() or int(declared) > limit:
            refusal = too_large(limit)
            response = problem_response(
                refusal.status_code, refusal.code, refusal.detail, request_id=scope["state"]["request_id"]
            )
            await response(scope, receive, send)
            return
        seen, whole = 0, False
        deadline = asyncio.get_running_loop().time() + limit_s

        async def counted() -> Message:
            nonlocal seen, whole
            try:
                async with asyncio.timeout_at(None if whole else deadline):
                    message = await receive()
            except TimeoutError:
                raise too_slow(limit_s) from None
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                whole = not message.get("more_body", False)
                if seen > limit:
                    raise too_large(limit)
            return message

        await self._app(scope, counted, send)


def too_slow(limit_s: float) -> ProblemError:
    return ProblemError(408, "too-slow", f"The request did not arrive whole within {limit_s:g} s.")


def too_large(limit: int) -> ProblemError:
    return ProblemError(413, "too-large", f"The request is larger than the {limit / 2**20:.3g} MiB that are accepted.")
