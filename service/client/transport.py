"""Requests to the API: the login, time-outs, and again where that is safe."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, Protocol, Self, TypeVar

import httpx2 as httpx
from pydantic import BaseModel

from service.client.errors import UnreachableError, error_of, wait_of
from service.client.events import Event, events_in

__all__ = ["Transport"]

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Parameters = Mapping[str, Any]
# Asked for again, these do nothing twice; a POST only with an idempotency key.
_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
_PASSING = frozenset({429, 502, 503, 504})
FIRST_WAIT_S, LONGEST_WAIT_S = 0.3, 20.0


class PageOf(Protocol[T_co]):
    """A document that is one page of many."""

    @property
    def items(self) -> Sequence[T_co]: ...

    @property
    def next_cursor(self) -> str | int | None: ...

    @classmethod
    def model_validate_json(cls, json_data: bytes, /) -> Self: ...


class Transport:
    """One connection pool to one installation.

    Proxies of the environment are not used: password and token are for the installation alone.

    Args:
        address: ``https://tapetum.example``.
        retries: how often a request is sent again when nobody answers, or the answer says that it passes.
        timeout_s: for connecting, and for every part of an answer.
    """

    def __init__(
        self, address: str, *, timeout_s: float, retries: int, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.address = address.rstrip("/")
        self._retries = retries
        self._http = httpx.Client(
            base_url=f"{self.address}/api/v1", timeout=timeout_s, trust_env=False, transport=transport
        )

    def close(self) -> None:
        self._http.close()

    def use_token(self, token: str) -> None:
        """Send this token from here on."""
        self._http.headers["Authorization"] = f"Bearer {token}"

    def get(self, model: type[M], path: str, **parameters: Any) -> M:
        """Read a document."""
        return model.model_validate_json(self.send("GET", path, parameters=parameters).content)

    def call(self, model: type[M], method: str, path: str, body: BaseModel | None = None, **parameters: Any) -> M:
        """Change something and get a document back. Raises ApiError and UnreachableError."""
        return model.model_validate_json(self.send(method, path, body, parameters=parameters).content)

    def create(self, model: type[M], path: str, body: BaseModel, key: str | None = None, **parameters: Any) -> M:
        """Make something, once: sent again after a lost answer, the same key makes no second one."""
        key = key or str(uuid.uuid4())
        return model.model_validate_json(self.send("POST", path, body, parameters=parameters, key=key).content)

    def each(self, page: type[PageOf[T]], path: str, **parameters: Any) -> Iterator[T]:
        """The items of all pages, fetched as they are looked at."""
        cursor: str | int | None = None
        while True:
            answer = self.send("GET", path, parameters={**parameters, "cursor": cursor})
            found = page.model_validate_json(answer.content)
            yield from found.items
            cursor = found.next_cursor
            if cursor is None:
                return

    def send(
        self,
        method: str,
        path: str,
        body: BaseModel | None = None,
        *,
        parameters: Parameters | None = None,
        files: Mapping[str, Any] | None = None,
        fields: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        """One request.

        Args:
            parameters: of the address; None leaves one out.
            key: idempotency key; a POST with one may be sent again.

        Raises:
            ApiError: what the API said.
            UnreachableError: nobody answered.
        """
        headers = {} if key is None else {"Idempotency-Key": key}
        content = None
        if body is not None:
            content = body.model_dump_json(exclude_unset=True)
            headers["Content-Type"] = "application/json"
        request = self._http.build_request(
            method,
            path,
            params={name: value for name, value in (parameters or {}).items() if value is not None},
            content=content,
            files=files,
            data=fields,
            headers=headers,
        )
        repeatable = (method in _REPEATABLE or key is not None) and files is None
        return self._answer(request, repeatable=repeatable)

    def pieces(self, path: str) -> Iterator[bytes]:
        """What is at a path, piece by piece. Raises ApiError, and UnreachableError also when the end is missing."""
        with closing(self._answer(self._http.build_request("GET", path), repeatable=True, whole=False)) as answer:
            try:
                yield from answer.iter_bytes()
            except httpx.TransportError as error:
                raise UnreachableError(f"{self.address} stopped in the middle of its answer: {error}") from None

    def events(self, path: str, last_id: str | None) -> Iterator[Event]:
        """Server-sent events, without end: a stream that ends or breaks is opened again after the last one seen.

        Raises:
            ApiError: what the API said when it was opened, also again.
            UnreachableError: nobody answered then.
        """
        wait_s = FIRST_WAIT_S
        while True:
            request = self._http.build_request("GET", path, headers={"Last-Event-ID": last_id} if last_id else None)
            answer = self._answer(request, repeatable=True, whole=False)
            with closing(answer), suppress(httpx.TransportError):
                for event in events_in(answer.iter_lines()):
                    last_id, wait_s = event.id or last_id, event.retry_s or wait_s
                    yield event
            time.sleep(_wait_s(0, wait_s))

    def _answer(self, request: httpx.Request, *, repeatable: bool, whole: bool = True) -> httpx.Response:
        """Send a request, again where that is safe. One that is not `whole` is still to be read, and closed."""
        for attempt in range(self._retries + 1):
            last = attempt == self._retries or not repeatable
            try:
                response = self._http.send(request, stream=not whole)
                if response.is_success:
                    return response
                response.read()
            except httpx.TransportError as error:
                if last:
                    raise UnreachableError(f"no answer from {self.address}: {error}") from None
                time.sleep(_wait_s(attempt, None))
                continue
            said_s = wait_of(response)
            if last or response.status_code not in _PASSING or (said_s or 0) > LONGEST_WAIT_S:
                raise error_of(response)
            time.sleep(_wait_s(attempt, said_s))
        raise AssertionError("the last attempt returns or raises")


def _wait_s(attempt: int, said_s: float | None) -> float:
    """How long to wait: what the service said, else longer each time, and never all at once."""
    wait_s = said_s if said_s is not None else FIRST_WAIT_S * 2**attempt
    return min(wait_s, LONGEST_WAIT_S) * random.uniform(1.0, 1.25)  # noqa: S311  no secret
