"""Bounds how many bytes a request may send, while they come in."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import ProblemError, problem_response

__all__ = ["BodyLimit"]

JSON_LIMIT_BYTES = 256 * 1024
MULTIPART_OVERHEAD_BYTES = 16 * 1024


class BodyLimit:
    """ASGI middleware: small JSON bodies everywhere, one photo where photos go."""

    def __init__(self, app: ASGIApp, *, upload_path: str, upload_bytes: int) -> None:
        self._app = app
        self._upload_path = upload_path
        self._upload_limit = upload_bytes + MULTIPART_OVERHEAD_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._upload_limit if scope["path"] == self._upload_path else JSON_LIMIT_BYTES
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdigit() or int(declared) > limit:
            refusal = too_large(limit)
            response = problem_response(
                refusal.status_code, refusal.code, refusal.detail, request_id=scope["state"]["request_id"]
            )
            await response(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise too_large(limit)
            return message

        await self._app(scope, counted, send)


def too_large(limit: int) -> ProblemError:
    return ProblemError(413, "too-large", f"The request is larger than the {limit / 2**20:.3g} MiB that are accepted.")
