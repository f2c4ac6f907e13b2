"""Documents with ids that are ULIDs, newest first: their order is that of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol, TypeVar, cast

import redis

from service.gallery.store import redis_at_work

__all__ = ["newest_first", "one_page"]

_BATCH = 100


class _Document(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T")
D = TypeVar("D", bound=_Document)


def newest_first(
    client: redis.Redis, order: str, get_many: Callable[[list[str]], Mapping[str, T]], before: str | None = None
) -> Iterator[T]:
    """Documents made before the one with an id, read some at a time. Raises GalleryUnavailable.

    Args:
        order: a sorted set of their ids, all of score 0.
        get_many: reads them by id; what it leaves out is left out.
    """
    while True:
        top = f"({before}" if before else "+"
        with redis_at_work():
            found = cast("list[bytes]", client.zrevrangebylex(order, top, "-", start=0, num=_BATCH))
        ids = [one.decode() for one in found]
        known = get_many(ids)
        yield from (known[one] for one in ids if one in known)
        if len(ids) < _BATCH:
            return
        before = ids[-1]


def one_page(found: Iterable[D], limit: int) -> tuple[list[D], str | None]:
    """The first of them, and the id to go on below; None at the end."""
    taken = list(islice(found, limit + 1))
    return taken[:limit], taken[limit - 1].id if len(taken) > limit else None
