"""Networks by name. A network registers itself beside its code; importing `models.reid` loads them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

from torch import Tensor, nn

from models.preprocessing import Preprocessing
from models.types import Modality

__all__ = ["ReidNetwork", "create_model", "list_models", "register_model"]


class ReidNetwork(Protocol):
    """What every re-identification network answers.

    Its training forward takes ``(visible, infrared)``, ``[R, 3, H, W]`` or ``[R, N, 3, H, W]`` whose rows i show
    the same identity, and returns a dataclass of its own that holds at least ``visible`` and ``infrared``, each a
    `models.reid.heads.HeadOutput` of R rows; an objective in `models.training.objectives` turns it into losses.

    Attributes:
        name: under which it is registered.
        preprocessing: how crops become its input.
        frames: how many frames a clip has, 1 for a network of single pictures.
        embedding_dim: D of `embed`.
    """

    name: str
    preprocessing: Preprocessing
    frames: int
    embedding_dim: int

    @property
    def options(self) -> dict[str, Any]:
        """The configuration as plain JSON values; ``create_model(name, **options)`` builds the same network."""
        ...

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Start the trunk from released weights of its own backbone. ValueError if they do not fit."""
        ...

    def trunk_parameters(self) -> list[nn.Parameter]:
        """The parameters that `load_pretrained` fills; training gives them a smaller rate than the rest."""
        ...

    def embed(self, pictures: Tensor, modality: Modality) -> Tensor:
        """``[B, 3, H, W]`` or ``[B, N, 3, H, W]`` of one modality -> ``[B, D]``, L2-normalised."""
        ...


class _Builder(Protocol):
    def __call__(self, *, preprocessing: Preprocessing | None = None, **options: Any) -> nn.Module: ...


_BUILDERS: dict[str, _Builder] = {}
_B = TypeVar("_B", bound=Callable[..., nn.Module])


def register_model(name: str) -> Callable[[_B], _B]:
    """Decorate a class or function that builds a network from ``preprocessing`` and plain options."""

    def register(builder: _B) -> _B:
        if name in _BUILDERS:
            raise ValueError(f"two networks are called {name!r}")
        _BUILDERS[name] = cast(_Builder, builder)
        return builder

    return register


def list_models() -> tuple[str, ...]:
    """The names that `create_model` knows, sorted."""
    import models.reid  # noqa: F401 - the networks import this module to register themselves

    return tuple(sorted(_BUILDERS))


def create_model(name: str, *, preprocessing: Preprocessing | None = None, **options: Any) -> nn.Module:
    """Build a network with fresh weights.

    Raises:
        KeyError: no such network; the message lists those there are.
        ValueError, TypeError: an option is wrong or unknown to this network.
    """
    known = list_models()
    if name not in known:
        raise KeyError(f"no network called {name!r}; there are {', '.join(known)}")
    return _BUILDERS[name](preprocessing=preprocessing, **options)
