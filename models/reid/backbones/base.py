"""What every trunk has in common. Stages carry ResNet's numbers: 2 is conv2_x, 5 is conv5_x."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

__all__ = ["STAGES", "Backbone", "StageMaps", "create_backbone", "register_backbone"]

STAGES = (2, 3, 4, 5)
StageMaps = dict[int, Tensor]
"""Stage number -> ``[F, C_s, H / stride_s, W / stride_s]``."""


class Backbone(nn.Module, ABC):
    """A trunk. ``channels[s]`` and ``strides[s]`` say what stage s gives."""

    channels: ClassVar[dict[int, int]]
    strides: dict[int, int]

    def forward(self, frames: Tensor, *, shift: int = 1, last_stage: int = 5) -> StageMaps:
        """Run ``[F, 3, H, W]`` up to a stage.

        Args:
            shift: N, the frames of a clip that exchange channels (F is a multiple of N); 1 for none.
            last_stage: nothing above this stage is computed.
        """
        x = self.stem(frames)
        maps: StageMaps = {}
        for stage in range(STAGES[0], last_stage + 1):
            x = self.run_stage(stage, x, shift)
            maps[stage] = x
        return maps

    @abstractmethod
    def stem(self, frames: Tensor) -> Tensor:
        """What comes before stage 2: ``[F, 3, H, W]`` -> its input. The identity after `detach_stem`."""

    @abstractmethod
    def run_stage(self, stage: int, x: Tensor, shift: int = 1) -> Tensor:
        """One stage alone: the map of the stage before (or the stem) -> ``[F, C_s, H / stride_s, W / stride_s]``."""

    @abstractmethod
    def detach_stem(self) -> nn.Module:
        """Hand over the stem with its weights, so that there can be one for each kind of light.

        The trunk keeps stages 2 to 5 only, under the names they had.
        """

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Take released ImageNet weights; a classifier in them is left out.

        Raises:
            ValueError: keys are missing or unknown; the message names some of them.
        """
        kept = {key: value for key, value in state.items() if not key.startswith(("fc.", "classifier."))}
        known = self.state_dict()
        missing = [k for k in known if k not in kept and not k.endswith("num_batches_tracked")]
        unknown = [k for k in kept if k not in known]
        wrong = [k for k, v in kept.items() if k in known and v.shape != known[k].shape]
        if missing or unknown or wrong:
            raise ValueError(
                f"not the weights of a {type(self).__name__}: missing {missing[:3]}, unknown {unknown[:3]}, "
                f"of another shape {wrong[:3]}"
            )
        self.load_state_dict(kept, strict=False)


_BACKBONES: dict[str, Callable[..., Backbone]] = {}


def register_backbone(name: str) -> Callable[[type[Backbone]], type[Backbone]]:
    def register(cls: type[Backbone]) -> type[Backbone]:
        _BACKBONES[name] = cls
        return cls

    return register


def create_backbone(name: str, *, last_stride: int, stride_in_1x1: bool) -> Backbone:
    """Build a trunk with fresh weights; KeyError lists the names there are."""
    if name not in _BACKBONES:
        raise KeyError(f"no backbone called {name!r}; there are {', '.join(sorted(_BACKBONES))}")
    if last_stride not in (1, 2):
        raise ValueError(f"last_stride: expected 1 or 2, got {last_stride}")
    return _BACKBONES[name](last_stride=last_stride, stride_in_1x1=stride_in_1x1)
