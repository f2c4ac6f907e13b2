"""CMFT: Cross-Modality Cross-scale Fusion Transformer.

Mukhtar and Khan, "Progressive learning in cross-modal cross-scale fusion transformer for
visible-infrared video-based person reidentification".

Two streams of their own weights with temporal shift (TSM), one for visible and one for infrared
clips, meet in a cascade of cross-modal fusions (CCF, see `models.layers.ccf`).

Where the paper is silent or contradicts itself:
- Stages S2..S5 are ResNet's conv2_x..conv5_x; "S6" is the reduced map after the two linear layers of
  the last CCF. Earlier CCFs work at a reduced width (`fusion_width`), as the paper's parameter counts
  demand; the last one at 1024. By default one CCF on S5 comes before it: the row "S5" of Table 3, which
  the paper's headline figures are taken from. ``fusion_stages=()`` is D6F.
- The paper's 8.39 M and 17.29 M are the last CCF alone (17.29 M with a classifier of 500 people on one
  1024-d branch); the linear layer to `fused_dim` is ours and comes on top.
- The paper speaks of 1024-d and 512-d vectors; served are 512 (``fused_dim``, ``stream_dim``). The last
  CCF's tokens are averaged: after its layer norm half of them are negative, which GeM would clamp.
- One kind of light is all a query has, so every clip is embedded the same way: the other stream sees
  its grey copy (`models.layers.grey`). ``embedding`` says what is served: ``fused``, ``stream`` (each
  clip by its own stream, without the fusion), or both side by side. Choose by measuring.
- Batch-norm necks for each kind of light (``neck_per_modality``), classifiers shared. Counterparts, which
  a stream sees in training only, have necks of their own, so that they move nobody else's statistics.
- ``shared_streams`` sends both lights through one stream, with necks of their own: half the weights, and what is
  learned of people in one light holds in the other. The paper's streams are independent.
- Single pictures (N = 1) are not shifted. Frames are averaged before the embedding's linear layer.

Literal forms: ``literal_product`` (eq. 6 as printed), ``fusion_branches=1`` (the paper's S6F),
``fusion_bias=False`` (what the paper counts as parameters), ``fused_dim=1024``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from models.layers.grey import GreyCounterpart
from models.preprocessing import Preprocessing
from models.registry import register_model
from models.reid.backbones import Backbone, StageMaps, create_backbone
from models.reid.cmft_heads import FusionTrunk, StreamHead
from models.reid.heads import HeadOutput, NeckAndClassifier, fold
from models.types import Modality

__all__ = ["Cmft", "CmftOptions", "CmftOutput"]

_KINDS = (Modality.VISIBLE.value, Modality.INFRARED.value)
_COUNTERPARTS = {modality: f"{modality.value}_counterpart" for modality in Modality}
_PAIR = "pair"
_SHARED = "both"
_HEAD = "head."


@dataclass(frozen=True, slots=True)
class CmftOptions:
    """Everything that shapes a CMFT; plain values, kept in the checkpoint.

    Attributes:
        backbone: ``resnet50`` (the paper's), or ``mobilenetv2``, ``efficientnet_lite0`` or ``osnet`` (for machines
            without a GPU).
        last_stride: of stage 5; 1 keeps the map at a sixteenth of the input.
        stride_in_1x1: ResNet v1 weights instead of v1.5.
        frames: N of a clip.
        shared_streams: one stream for both kinds of light.
        temporal_shift: TSM in both streams, for clips.
        embedding: ``fused``, ``stream`` or ``both``.
        fusion: build the CCFs at all; False only together with ``embedding="stream"``.
        fusion_stages: where the CCFs before the last one sit, ascending, of 2..5.
        stream_levels, stream_parts: which stages a stream's head pools, in how many stripes each.
        stream_pool: ``gem``, or ``depthwise``: a weight for each place of the one level's map.
        pooling_exponent: p of GeM; 1 is the mean.
        identities: size of the classifiers, 0 for none.
    """

    backbone: str = "resnet50"
    last_stride: int = 1
    stride_in_1x1: bool = False
    frames: int = 6
    shared_streams: bool = False
    temporal_shift: bool = True
    embedding: str = "fused"
    fusion: bool = True
    fusion_stages: tuple[int, ...] = (5,)
    fusion_width: int = 512
    final_width: int = 1024
    fusion_heads: int = 8
    fusion_branches: int = 2
    fusion_bias: bool = True
    literal_product: bool = False
    fused_dim: int = 512
    stream_dim: int = 512
    stream_levels: tuple[int, ...] = (5,)
    stream_parts: tuple[int, ...] = (1,)
    stream_pool: str = "gem"
    pooling_exponent: float = 3.0
    neck_per_modality: bool = True
    identities: int = 0

    def __post_init__(self) -> None:
        for name in ("fusion_stages", "stream_levels", "stream_parts"):  # JSON has no tuples
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.embedding not in ("fused", "stream", "both"):
            raise ValueError(f"embedding: expected fused, stream or both, got {self.embedding!r}")
        if not self.fusion and self.embedding != "stream":
            raise ValueError(f"embedding: expected stream without fusion, got {self.embedding!r}")
        if self.fusion_branches == 1 and self.fusion_stages:
            raise ValueError(f"fusion_stages: expected () with one branch, got {self.fusion_stages}")
        for name in ("fusion_stages", "stream_levels"):
            stages = getattr(self, name)
            if list(stages) != sorted(set(stages)) or not set(stages) <= {2, 3, 4, 5}:
                raise ValueError(f"{name}: expected ascending stages of 2..5, got {stages}")
        if not self.stream_levels or len(self.stream_levels) != len(self.stream_parts):
            raise ValueError(f"stream_parts: expected one number a level, got {self.stream_parts}")
        if self.stream_pool not in ("gem", "depthwise"):
            raise ValueError(f"stream_pool: expected gem or depthwise, got {self.stream_pool!r}")
        if self.stream_pool == "depthwise" and self.stream_parts != (1,):
            raise ValueError(f"stream_parts: expected (1,) with a depthwise pool, got {self.stream_parts}")
        if self.frames < 1 or self.identities < 0:
            raise ValueError(f"expected frames >= 1 and identities >= 0, got {self.frames}, {self.identities}")
        if min(self.fused_dim, self.stream_dim) < 1:
            raise ValueError(f"expected fused_dim and stream_dim >= 1, got {self.fused_dim}, {self.stream_dim}")


@dataclass(frozen=True, slots=True)
class CmftOutput:
    """A training forward of B visible and B infrared clips whose rows show the same identities.

    Attributes:
        visible, infrared: each clip by its own stream.
        visible_counterpart, infrared_counterpart: the same clips' pseudo-counterparts by the other
            stream, with necks of their own. None where both lights share a stream.
        fused_visible, fused_infrared: clip and counterpart fused; what a query is embedded by.
        fused_pair: the true pair fused, row by row. The fused ones are None without fusion.
    """

    visible: HeadOutput
    infrared: HeadOutput
    visible_counterpart: HeadOutput | None = None
    infrared_counterpart: HeadOutput | None = None
    fused_visible: HeadOutput | None = None
    fused_infrared: HeadOutput | None = None
    fused_pair: HeadOutput | None = None


class Cmft(nn.Module):
    """The network. Input is what `preprocessing` makes: ``[B, 3, H, W]`` or ``[B, N, 3, H, W]``."""

    name = "cmft"

    def __init__(self, options: CmftOptions, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.config = options
        self.preprocessing = preprocessing
        self.frames = options.frames
        self.counterpart = GreyCounterpart(preprocessing)
        kinds = (_SHARED,) if options.shared_streams else _KINDS
        self.streams = nn.ModuleDict(
            {
                kind: create_backbone(
                    options.backbone, last_stride=options.last_stride, stride_in_1x1=options.stride_in_1x1
                )
                for kind in kinds
            }
        )
        trunk = self.stream(Modality.VISIBLE)
        size = None
        if options.stream_pool == "depthwise":
            stride = trunk.strides[options.stream_levels[0]]
            size = (preprocessing.height_px // stride, preprocessing.width_px // stride)
        self.stream_heads = nn.ModuleDict(
            {
                kind: StreamHead(
                    trunk.channels,
                    options.stream_levels,
                    options.stream_parts,
                    options.pooling_exponent,
                    options.stream_dim,
                    size,
                )
                for kind in kinds
            }
        )
        shared = not options.neck_per_modality
        necks = _KINDS if options.shared_streams else (*_KINDS, *_COUNTERPARTS.values())
        self.stream_out = NeckAndClassifier(options.stream_dim, necks, options.identities, shared_neck=shared)
        self.fusion: FusionTrunk | None = None
        self.fused_out: NeckAndClassifier | None = None
        if options.fusion:
            self.fusion = FusionTrunk(
                trunk.channels,
                trunk.strides,
                options.fusion_stages,
                width=options.fusion_width,
                final_width=options.final_width,
                heads=options.fusion_heads,
                branches=options.fusion_branches,
                literal_product=options.literal_product,
                bias=options.fusion_bias,
                dim=options.fused_dim,
            )
            self.fused_out = NeckAndClassifier(
                options.fused_dim, (*_KINDS, _PAIR), options.identities, shared_neck=shared
            )
        dims = {"fused": options.fused_dim, "stream": options.stream_dim}
        self.embedding_dim = dims.get(options.embedding, options.fused_dim + options.stream_dim)

    @property
    def options(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.config).items()}

    def stream(self, modality: Modality) -> Backbone:
        backbone = self.streams[_SHARED if self.config.shared_streams else modality.value]
        assert isinstance(backbone, Backbone)  # noqa: S101 - built above; tells the type checker
        return backbone

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Start both streams from the same released weights, and their heads from what is under ``head.``.

        Raises:
            ValueError: they do not fit.
        """
        trunk = {name: value for name, value in state.items() if not name.startswith(_HEAD)}
        head = {name.removeprefix(_HEAD): value for name, value in state.items() if name.startswith(_HEAD)}
        for modality in Modality:
            self.stream(modality).load_imagenet(trunk)
            if head and self.config.stream_pool == "depthwise":
                self._stream_head(modality).start_from(head)

    def trunk_parameters(self) -> list[nn.Parameter]:
        """What `load_pretrained` may fill."""
        heads = self.stream_heads.parameters() if self.config.stream_pool == "depthwise" else ()
        return [*self.streams.parameters(), *heads]

    def forward(
        self,
        visible: Tensor,
        infrared: Tensor,
        visible_counterpart: Tensor | None = None,
        infrared_counterpart: Tensor | None = None,
    ) -> CmftOutput:
        """Train on aligned halves: row i of both shows the same identity.

        Args:
            visible, infrared: ``[B, N, 3, H, W]`` or ``[B, 3, H, W]``, of the same shape.
            visible_counterpart, infrared_counterpart: what stands in for the light that is missing,
                of the same shape; None for the grey copy (training draws random ones).
        """
        if visible.shape != infrared.shape:
            raise ValueError(f"expected halves of one shape, got {list(visible.shape)} and {list(infrared.shape)}")
        seen, frames = fold(visible, self.frames)
        night, _ = fold(infrared, self.frames)
        if self.config.shared_streams and self.fusion is None:
            maps = self._maps(torch.cat((seen, night)), Modality.VISIBLE, frames, max(self.config.stream_levels))
            return self._shared_output(self._stream_features(maps, Modality.VISIBLE, frames))
        seen_other = (
            self.counterpart(seen) if visible_counterpart is None else fold(visible_counterpart, self.frames)[0]
        )
        night_other = (
            self.counterpart(night) if infrared_counterpart is None else fold(infrared_counterpart, self.frames)[0]
        )
        last = 5 if self.fusion is not None else max(self.config.stream_levels)
        visible_maps = self._maps(torch.cat((seen, night_other)), Modality.VISIBLE, frames, last)
        infrared_maps = self._maps(torch.cat((seen_other, night)), Modality.INFRARED, frames, last)
        fused = self._fused(visible_maps, infrared_maps, frames)
        half = len(seen)
        if self.config.shared_streams:
            own = {stage: torch.cat((maps[:half], infrared_maps[stage][half:])) for stage, maps in visible_maps.items()}
            return replace(self._shared_output(self._stream_features(own, Modality.VISIBLE, frames)), **fused)
        rows = len(visible)
        visible_rows, night_other_rows = torch.split(
            self._stream_features(visible_maps, Modality.VISIBLE, frames), rows
        )
        seen_other_rows, infrared_rows = torch.split(
            self._stream_features(infrared_maps, Modality.INFRARED, frames), rows
        )
        return CmftOutput(
            visible=self.stream_out(visible_rows, Modality.VISIBLE.value),
            infrared=self.stream_out(infrared_rows, Modality.INFRARED.value),
            visible_counterpart=self.stream_out(seen_other_rows, _COUNTERPARTS[Modality.VISIBLE]),
            infrared_counterpart=self.stream_out(night_other_rows, _COUNTERPARTS[Modality.INFRARED]),
            **fused,
        )

    def _shared_output(self, features: Tensor) -> CmftOutput:
        """Both halves of the rows of one stream."""
        visible, infrared = features.chunk(2)
        return CmftOutput(
            visible=self.stream_out(visible, Modality.VISIBLE.value),
            infrared=self.stream_out(infrared, Modality.INFRARED.value),
        )

    def _fused(self, visible: StageMaps, infrared: StageMaps, frames: int) -> dict[str, HeadOutput]:
        """What the fusion makes of clips and counterparts, and of true pairs; nothing without a fusion."""
        if self.fusion is None or self.fused_out is None:
            return {}
        own = self.fusion(visible, infrared, frames)
        rows = len(own) // 2
        cut = rows * frames
        pair = self.fusion(
            {stage: maps[:cut] for stage, maps in visible.items()},
            {stage: maps[cut:] for stage, maps in infrared.items()},
            frames,
        )
        return {
            "fused_visible": self.fused_out(own[:rows], Modality.VISIBLE.value),
            "fused_infrared": self.fused_out(own[rows:], Modality.INFRARED.value),
            "fused_pair": self.fused_out(pair, _PAIR),
        }

    def embed(self, pictures: Tensor, modality: Modality) -> Tensor:
        """Embed pictures or clips of one kind of light; see `models.registry.ReidNetwork`.

        In ``stream`` form only that light's stream runs, and only as far as its head needs.

        Raises:
            ValueError: another rank or number of channels, or a clip of another length than 1 or N.
        """
        folded, frames = fold(pictures, self.frames)
        parts = []
        form = self.config.embedding
        last = max(self.config.stream_levels) if form == "stream" else 5
        own = self._maps(folded, modality, frames, last)
        if form != "stream" and self.fusion is not None and self.fused_out is not None:
            other = self._maps(self.counterpart(folded), modality.other, frames, 5)
            pair = (own, other) if modality is Modality.VISIBLE else (other, own)
            parts.append(self.fused_out.neck(self.fusion(*pair, frames), modality.value))
        if form != "fused":
            parts.append(self.stream_out.neck(self._stream_features(own, modality, frames), modality.value))
        unit = [nn.functional.normalize(part.float(), dim=1) for part in parts]
        return unit[0] if len(unit) == 1 else torch.cat(unit, dim=1) / len(unit) ** 0.5

    def _maps(self, folded: Tensor, modality: Modality, frames: int, last_stage: int) -> StageMaps:
        shift = frames if self.config.temporal_shift else 1
        maps: StageMaps = self.stream(modality)(folded, shift=shift, last_stage=last_stage)
        return maps

    def _stream_features(self, maps: StageMaps, modality: Modality, frames: int) -> Tensor:
        features: Tensor = self._stream_head(modality)(maps, frames)
        return features

    def _stream_head(self, modality: Modality) -> StreamHead:
        head = self.stream_heads[_SHARED if self.config.shared_streams else modality.value]
        assert isinstance(head, StreamHead)  # noqa: S101 - built above; tells the type checker
        return head


@register_model(Cmft.name)
def cmft(*, preprocessing: Preprocessing | None = None, **options: Any) -> Cmft:
    """Build a `Cmft` from `CmftOptions` by name; TypeError names an unknown option."""
    known = {field.name for field in fields(CmftOptions)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(f"cmft has no option {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return Cmft(CmftOptions(**options), preprocessing or Preprocessing())
