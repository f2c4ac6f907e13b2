"""Networks that lose what the service answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2 as httpx

__all__ = ["CuttingStreams", "LosingAnswers"]


class LosingAnswers(httpx.BaseTransport):
    """Lets every request through, and loses the first answers on their way back."""

    def __init__(self, lost: int) -> None:
        self._real = httpx.HTTPTransport()
        self._lost = lost
        self.sent = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        answer = self._real.handle_request(request)
        answer.read()
        if self.sent <= self._lost:
            raise httpx.ReadError("the connection broke", request=request)
        return answer

    def close(self) -> None:
        self._real.close()


class CuttingStreams(httpx.BaseTransport):
    """Breaks the first stream of alerts off after its first alert.

    Args:
        begun: called when the service has begun a stream, with how many there were before.
    """

    def __init__(self, begun: Callable[[int], None]) -> None:
        self._real = httpx.HTTPTransport()
        self._begun = begun
        self.resumed_after: list[str | None] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._real.handle_request(request)
        if not request.url.path.endswith("/alerts/stream"):
            return answer
        self.resumed_after.append(request.headers.get("last-event-id"))
        self._begun(len(self.resumed_after) - 1)
        if len(self.resumed_after) > 1:
            return answer
        assert isinstance(answer.stream, httpx.SyncByteStream)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=_Cut(answer.stream))

    def close(self) -> None:
        self._real.close()


class _Cut(httpx.SyncByteStream):
    """Ends with an error when one alert is through."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            yield piece
            if b"event: alert" in piece:
                raise httpx.ReadError("the connection broke")

    def close(self) -> None:
        self._stream.close()
