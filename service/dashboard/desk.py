"""What every page of one browser tab has at hand: the account's view, its clock, and how to ask the store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeVar

from nicegui import run, ui
from pydantic import ValidationError
from redis.exceptions import RedisError

from service.api.scoped import Scoped
from service.audit import AuditUnavailable
from service.dashboard import strings
from service.dashboard.wording import Clock
from service.gallery import GalleryUnavailable
from service.problems import ProblemError
from service.security.access import AccessDenied, Permission
from service.security.accounts import AccountError
from service.security.tokens import TokenError

__all__ = ["Desk", "Unanswered"]

T = TypeVar("T")
_ZONE = "[Intl.DateTimeFormat().resolvedOptions().timeZone, new Date().getTimezoneOffset()]"


class Unanswered(Exception):  # noqa: N818  a state of the world, as pages see it
    """A question that has no answer now; the text is a sentence for the operator.

    Attributes:
        missing: what was asked for is not there, or not for this account.
    """

    def __init__(self, text: str, *, missing: bool = False) -> None:
        super().__init__(text)
        self.missing = missing


class Desk:
    """Of one tab. Pages wait for `ready` before they write a time."""

    def __init__(self, scoped: Scoped) -> None:
        self.scoped = scoped
        self.clock = Clock.of("UTC", 0)
        self._ready = asyncio.Event()

    def may(self, permission: Permission) -> bool:
        return self.scoped.access.may(permission)

    async def learn_zone(self) -> None:
        """Ask the connected browser for the operator's zone; one that does not say so is shown UTC, with its offset."""
        try:
            with contextlib.suppress(TimeoutError):
                found = await ui.run_javascript(_ZONE, timeout=20.0)
                if isinstance(found, list) and len(found) == 2:  # None: the tab is closed already
                    self.clock = Clock.of(*found)
        finally:
            self._ready.set()

    async def ready(self) -> None:
        """Wait until the zone is known."""
        await self._ready.wait()

    async def ask(self, question: Callable[[], T]) -> T:
        """Run a question to the store in a thread.

        Raises:
            Unanswered: why there is no answer.
            asyncio.CancelledError: the page was left while it was asked, or the service ends.
        """
        with _in_words():
            given = await run.io_bound(lambda: (question(),))
        if given is None:  # NiceGUI says so what everybody else says by the exception
            raise asyncio.CancelledError
        return given[0]

    async def wait_for(self, answer: Awaitable[T]) -> T:
        """Like `ask`, for what does not block. Raises Unanswered."""
        with _in_words():
            return await answer

    async def try_to(self, action: Callable[[], T]) -> T | None:
        """Like `ask`, for what somebody clicked: why it did not work is told in passing, and None returned."""
        try:
            return await self.ask(action)
        except Unanswered as error:
            ui.notify(str(error), type="negative", position="top")
            return None

    async def camera_names(self) -> Mapping[str, str]:
        """Names by id of the cameras in scope. Raises Unanswered."""
        return await self.ask(self.scoped.camera_names) or {}


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Turns what may go wrong into a sentence. Raises Unanswered."""
    try:
        yield
    except ProblemError as error:
        raise Unanswered(str(error.detail), missing=error.status_code == 404) from None
    except (GalleryUnavailable, RedisError):
        raise Unanswered(strings.STORE_AWAY) from None
    except AuditUnavailable:
        raise Unanswered(strings.NOT_RECORDED) from None
    except AccessDenied:
        raise Unanswered(strings.NOT_ALLOWED) from None
    except (AccountError, TokenError) as error:
        raise Unanswered(str(error)) from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field, told = ".".join(map(str, first["loc"])), str(first["msg"]).removeprefix("Value error, ")
        raise Unanswered(f"{field}: {told}" if field else told) from None
