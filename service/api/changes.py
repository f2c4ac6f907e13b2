"""Requests that change only the fields they give."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from service.problems import ProblemError

__all__ = ["given_fields"]


def given_fields(change: BaseModel, clearable: Collection[str] = ()) -> dict[str, Any]:
    """The fields that a request gives. Raises ProblemError 422 for null where null means nothing."""
    given = {name: getattr(change, name) for name in change.model_fields_set}
    for name, value in given.items():
        if value is None and name not in clearable:
            raise ProblemError(422, "invalid", f"{name} cannot be null.")
    return given
