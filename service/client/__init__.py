"""A typed client of the REST API: what the command line uses, and programs of others. See docs/client.md."""

from service.client.client import Client
from service.client.errors import (
    ApiError,
    ConflictError,
    NotAllowedError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
    UnreachableError,
)

__all__ = [
    "ApiError",
    "Client",
    "ConflictError",
    "NotAllowedError",
    "NotFoundError",
    "RateLimitedError",
    "RefusedError",
    "UnavailableError",
    "UnreachableError",
]
