"""Pages of a list that is in memory whole: in order, and right while it changes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

from fastapi import Query

from service.problems import ProblemError

__all__ = ["Cursor", "Limit", "page_of"]

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=1000, description="Items of a page.")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next_cursor` of the page before.")]


def page_of(items: Iterable[T], key: Callable[[T], str], limit: int, cursor: str | None) -> tuple[list[T], str | None]:
    """The items of a page by their key, which is of one item only, and the cursor of the next; None at the end.

    Raises:
        ProblemError: 422 for a cursor that is none.
    """
    last = _read(cursor) if cursor is not None else ""
    found = sorted((one for one in items if cursor is None or key(one) > last), key=key)
    page = found[:limit]
    return page, _written(key(page[-1])) if len(found) > limit else None


def _written(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _read(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ProblemError(422, "invalid", "cursor: expected one that an earlier page returned") from None
