"""Errors as ``application/problem+json`` (RFC 9457), the same shape for every one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

__all__ = ["MEDIA_TYPE", "Problem", "ProblemError", "problem_document", "problem_response"]

MEDIA_TYPE = "application/problem+json"


class InvalidField(BaseModel):
    """One field that was not accepted."""

    field: str = Field(examples=["body.k"])
    reason: str = Field(examples=["Input should be less than or equal to 1000"])


class Problem(BaseModel):
    """What went wrong, in words, and what to do about it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:tapetum:problem:not-found",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "There is no camera “gate”.",
                    "request_id": "5f0c2a1e9b7d4c38",
                }
            ]
        }
    )

    type: str = Field(description="Names the kind of problem; a program can rely on it.")
    title: str
    status: int
    detail: str = Field(description="A sentence for people.")
    request_id: str | None = Field(None, description="Also in the answer's X-Request-ID and in the log.")
    errors: list[InvalidField] | None = Field(None, description="The fields that were not accepted.")


class ProblemError(HTTPException):
    """Raise this anywhere below a route; it becomes a problem document.

    Args:
        status: HTTP status.
        code: short stable name of the kind of problem.
        detail: a sentence for the person who asked. Never holds internals.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.code = code
        self.errors = errors


def problem_document(
    status: int, code: str, detail: str, *, request_id: str | None = None, errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """The members of a problem document."""
    document: dict[str, Any] = {
        "type": f"urn:tapetum:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if request_id:
        document["request_id"] = request_id
    if errors:
        document["errors"] = errors
    return document


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    request_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> Response:
    """A problem document as a response."""
    document = problem_document(status, code, detail, request_id=request_id, errors=errors)
    return Response(
        json.dumps(document, ensure_ascii=False), status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )
