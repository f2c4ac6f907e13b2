"""Bringing the gallery from one model to another."""

from __future__ import annotations

from service.api.schema_reembedding import Reembedding, ReembeddingRequest
from service.client.noun import Noun

__all__ = ["Reembeddings"]


class Reembeddings(Noun):
    def state(self) -> Reembedding:
        return self._api.get(Reembedding, "/reembedding")

    def start(self, *, accept_losses: bool = False) -> Reembedding:
        """Embed every sighting with the model of the service, in the background."""
        return self._do("", ReembeddingRequest(accept_losses=accept_losses))

    def pause(self) -> Reembedding:
        """After the step under way."""
        return self._do("/pause")

    def resume(self, *, accept_losses: bool = False) -> Reembedding:
        return self._do("/resume", ReembeddingRequest(accept_losses=accept_losses))

    def stop(self) -> Reembedding:
        """Give it up: the gallery stays with the model that it has."""
        return self._do("/stop")

    def _do(self, what: str, request: ReembeddingRequest | None = None) -> Reembedding:
        return self._api.call(Reembedding, "POST", f"/reembedding{what}", request)
