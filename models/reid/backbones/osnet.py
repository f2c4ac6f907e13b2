"""OSNet (Zhou et al., "Omni-scale feature learning for person re-identification", ICCV 2019), a trunk made for people.

The form of Open Model Zoo's ``person-reidentification-retail-0287`` (Intel, Apache-2.0), so that its weights load:
half the width, instance norm on the picture and in the stem (a camera's contrast is gone before anything is learned
from it), two blocks a stage, gates over groups of channels in each stage's second block, and batch norm folded into
the convolutions, which therefore have biases. The released network ends in a depthwise convolution over the whole
map and a linear layer; those belong to a head, see `models.layers.gem.DepthwisePool`.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.layers.tsm import temporal_shift
from models.reid.backbones.base import Backbone, register_backbone

__all__ = ["OSNet", "released_state"]

_PATHS = 4
_GROUPS = 16
_MAP = (16, 8)  # what the released head was trained on


class _Light(nn.Module):
    """Pointwise, then depthwise 3x3: OSNet's lite convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(width, width, 1, bias=False)
        self.depth = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.depth(self.point(x)), inplace=True)


class _ChannelGate(nn.Module):
    """What each channel weighs, from the map's mean: two pointwise layers (SENet's), or one normed group by group."""

    def __init__(self, width: int, *, grouped: bool) -> None:
        super().__init__()
        self.weigh: nn.Module
        if grouped:
            self.weigh = nn.GroupNorm(_GROUPS, width)
        else:
            hidden = width // _GROUPS
            self.weigh = nn.Sequential(nn.Conv2d(width, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.weigh(x.mean(dim=(2, 3), keepdim=True))
        return x * weights.sigmoid()


class _Block(nn.Module):
    """Four paths of one to four lite convolutions, gated alike, summed, and added to the input."""

    def __init__(self, channels: int, out: int, *, grouped: bool) -> None:
        super().__init__()
        width = out // 4
        self.narrow = nn.Conv2d(channels, width, 1)
        self.paths = nn.ModuleList(
            nn.Sequential(*(_Light(width) for _ in range(length))) for length in range(1, _PATHS + 1)
        )
        self.gate = _ChannelGate(width, grouped=grouped)
        self.widen = nn.Conv2d(width, out, 1)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor, shift: int) -> Tensor:
        narrow = nn.functional.relu(self.narrow(temporal_shift(x, shift)), inplace=True)
        first, *others = (self.gate(path(narrow)) for path in self.paths)
        for other in others:
            first += other
        wide: Tensor = self.widen(first)
        wide += self.skip(x)
        return nn.functional.relu(wide, inplace=True)


class _Stage(nn.Module):
    """Where the map gets smaller, then two blocks."""

    def __init__(self, channels: int, out: int, *, smaller: bool) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels, 1) if smaller else None
        self.blocks = nn.ModuleList([_Block(channels, out, grouped=False), _Block(out, out, grouped=True)])

    def forward(self, x: Tensor, shift: int) -> Tensor:
        if self.reduce is not None:
            x = nn.functional.avg_pool2d(nn.functional.relu(self.reduce(x), inplace=True), 2)
        for block in self.blocks:
            x = block(x, shift)
        return x


@register_backbone("osnet")
class OSNet(Backbone):
    """0.49 M parameters; stages of 128, 192, 256 and 256 channels at strides 4, 8, 16 and 16.

    Frames are shifted at the first convolution of every block.
    """

    channels = {2: 128, 3: 192, 4: 256, 5: 256}  # noqa: RUF012 - declared ClassVar in the base

    def __init__(self, *, last_stride: int = 1, stride_in_1x1: bool = False) -> None:
        super().__init__()
        if last_stride != 1 or stride_in_1x1:
            raise ValueError("expected last_stride 1 and no stride_in_1x1: OSNet's last stage is a pointwise layer")
        self.strides = {2: 4, 3: 8, 4: 16, 5: 16}
        self.first: nn.Module = nn.Sequential(
            nn.InstanceNorm2d(3, affine=True),
            nn.Conv2d(3, 32, 7, 2, 3, bias=False),
            nn.InstanceNorm2d(32, affine=True),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        self.stage2 = _Stage(32, 128, smaller=False)
        self.stage3 = _Stage(128, 192, smaller=True)
        self.stage4 = _Stage(192, 256, smaller=True)
        self.last = nn.Conv2d(256, 256, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def stem(self, frames: Tensor) -> Tensor:
        x: Tensor = self.first(frames)
        return x

    def run_stage(self, stage: int, x: Tensor, shift: int = 1) -> Tensor:
        if stage == 5:
            return nn.functional.relu(self.last(x), inplace=True)
        deeper: Tensor = self.get_submodule(f"stage{stage}")(x, shift)
        return deeper

    def detach_stem(self) -> nn.Module:
        stem, self.first = self.first, nn.Identity()
        return stem


def _in_file_order(names: Sequence[str]) -> list[str]:
    """The file names a block's gate where it is first used, after the first path."""
    blocks = dict.fromkeys(name.split(".gate.")[0] for name in names if ".gate." in name)
    ordered = [name for name in names if ".gate." not in name]
    for block in blocks:
        gate = [name for name in names if name.startswith(f"{block}.gate.")]
        place = next(i for i, name in enumerate(ordered) if name.startswith(f"{block}.paths.1."))
        ordered[place:place] = gate
    return ordered


def released_state(constants: Sequence[Tensor]) -> dict[str, Tensor]:
    """Name the numbers of ``person-reidentification-retail-0287`` after this trunk, and its head under ``head.``.

    Args:
        constants: the IR's float constants in their order, each once.

    Returns:
        the trunk's tensors; ``head.pool.weight`` ``[256, 1, 16, 8]`` and ``head.pool.bias`` of the depthwise layer;
        ``head.project.weight`` ``[256, 256]`` with the scale of the batch norm after it. Its shift and the PReLU at the
        end (slope 0.99) are left out: a neck follows.

    Raises:
        ValueError: not the constants of that network.
    """
    trunk = OSNet().state_dict()
    places = _in_file_order([name for name, _ in OSNet().named_parameters()])
    head = ["pool.weight", "pool.bias", "weight", "bias", "gain", "offset", "slope"]
    inside = constants[2:]  # the first two are the preprocessing's mean and deviation
    if len(inside) != len(places) + len(head):
        raise ValueError(
            f"expected {len(places) + len(head) + 2} constants of person-reidentification-retail-0287, "
            f"got {len(constants)}"
        )
    state = {}
    for name, value in zip(places, inside, strict=False):
        if value.numel() != trunk[name].numel():
            raise ValueError(f"{name}: expected {list(trunk[name].shape)}, got {list(value.shape)}")
        state[name] = value.reshape(trunk[name].shape)
    last = dict(zip(head, inside[len(places) :], strict=True))
    gain = last["gain"].reshape(-1)
    return {
        **state,
        "head.pool.weight": last["pool.weight"].reshape(-1, 1, *_MAP),
        "head.pool.bias": last["pool.bias"].reshape(-1),
        "head.project.weight": last["weight"].reshape(len(gain), -1) * gain[:, None],
    }
