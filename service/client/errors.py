"""What can go wrong between a program and the API; what the API says about it comes along."""

from __future__ import annotations

import httpx2 as httpx
from pydantic import ValidationError

from service.problems import Problem

__all__ = [
    "ApiError",
    "ConflictError",
    "DamagedError",
    "NotAllowedError",
    "NotFoundError",
    "RateLimitedError",
    "RefusedError",
    "UnavailableError",
    "UnreachableError",
    "error_of",
    "wait_of",
]


class UnreachableError(ConnectionError):
    """Nobody answered, not even with an error; the request may have been carried out all the same."""


class DamagedError(OSError):
    """A file arrived that is not the one that the service made; nothing was kept of it."""


class ApiError(RuntimeError):
    """The API refused; the message is its own sentence.

    Attributes:
        problem: the document that it answered with; its `request_id` is in the log of the service.
        retry_after_s: seconds to wait before it makes sense to ask again; None where it was not said.
    """

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.retry_after_s = retry_after_s

    @property
    def kind(self) -> str:
        """The problem's name without what all have in common: ``camera-not-found``."""
        return self.problem.type.rpartition(":")[2]


class NotAllowedError(ApiError):
    """401 or 403: not logged in, or not allowed."""


class NotFoundError(ApiError):
    """404: not there, or not for this account."""


class ConflictError(ApiError):
    """409: somebody else was quicker, or something stands in the way."""


class RefusedError(ApiError):
    """400, 413, 415, 422 and the like: the request is wrong; ``problem.errors`` names the fields."""


class RateLimitedError(ApiError):
    """429: too many requests."""


class UnavailableError(ApiError):
    """5xx: the service, or something that it needs, does not work now."""


_KINDS: dict[int, type[ApiError]] = {
    401: NotAllowedError,
    403: NotAllowedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitedError,
}


def error_of(response: httpx.Response) -> ApiError:
    """The exception for an answer that is an error."""
    status = response.status_code
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:  # a proxy in between
        title = response.reason_phrase or "Error"
        problem = Problem(
            type="about:blank", title=title, status=status, detail=f"HTTP {status} from {response.url.host}"
        )
    kind = _KINDS.get(status, UnavailableError if status >= 500 else RefusedError)
    return kind(problem, wait_of(response))


def wait_of(response: httpx.Response) -> float | None:
    """``Retry-After`` in seconds; None where it is missing or a date."""
    said = response.headers.get("retry-after", "")
    return float(said) if said.isdigit() else None
