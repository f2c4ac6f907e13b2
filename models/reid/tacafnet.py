"""TACAFNet: Two Attention-Calibrated Associative Feature Networks.

Li, "Visible-infrared cross-modal pedestrian reidentification based on two attention-calibrated correlation
features".

AGW's two-stem trunk (`models.reid.two_stem`); one head on the whole map and one on each horizontal part, the
parts related to each other by a graph (IPCAM, `models.layers.ipcam`); in training, maps of both lights rebuilt
from one another (CMAAM, `models.layers.cmaam`).

The paper has prose only, so everything here is a reading of it:
- Six parts of layer4's map, GeM of each and of the whole, brought from 2048 to 512 by one linear layer, are the
  nodes of the graph. The graph's node for the whole picture is what parts learn of it; the global feature of
  the losses and of a query is the pooled map itself, at full width, as in the baseline.
- "Image pair": a second pass in training lets a picture's nodes ask those of the other light's picture of the
  same row. Those parts meet the same classifiers behind necks of their own.
- "Cyclic superposition" as means of the first 2..p parts, further heads (`cumulative`), off by default.
- CMAAM runs on layer4's maps. What it rebuilt is pooled and meets the global classifier behind a neck of its
  own. Negatives for the dense triplet are given by the caller, because the network knows no identities.
- At test one picture is enough: CMAAM and the second pass are left out, as in LbA.
- Vector: ``[global; part 1; ...; part p]`` after batch norm, of unit length: 2048 + 6 * 512 = 5120 dimensions.

``ipcam=False`` and ``cmaam=False`` leave the modules out (the rows of the paper's Table 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.layers.cmaam import reconstruct
from models.layers.gem import GeM, PartPool
from models.layers.ipcam import PartGraphAttention, cumulative_means
from models.preprocessing import Preprocessing
from models.registry import register_model
from models.reid.heads import HeadOutput, fold, frame_mean, unit_vectors
from models.reid.two_stem import HalvesHead, TwoStemTrunk, fold_halves
from models.types import Modality

__all__ = ["DenseMaps", "Tacafnet", "TacafnetOptions", "TacafnetOutput"]

_RECONSTRUCTED = "reconstructed"
_PAIR = "pair"


@dataclass(frozen=True, slots=True)
class TacafnetOptions:
    """Everything that shapes a TACAFNet; plain values, kept in the checkpoint.

    Attributes:
        backbone: ``resnet50`` (the paper's) or ``mobilenetv2`` (for machines without a GPU).
        last_stride: of stage 5; 1 keeps the map at a sixteenth of the input.
        stride_in_1x1: ResNet v1 weights instead of v1.5.
        parts: p, horizontal stripes; must divide the rows of the last map.
        part_dim: d, width of a part's feature.
        ipcam: relate the parts to each other; otherwise they are pooled and reduced only.
        cumulative: heads on the means of the first 2..p parts as well.
        cmaam: rebuild maps from the other light in training.
        sharpness: beta of CMAAM's softmax.
        pooling_exponent: p of GeM; 1 is the mean.
        neck_per_modality: batch norm for each kind of light.
        identities: size of the classifiers, 0 for none.
    """

    backbone: str = "resnet50"
    last_stride: int = 1
    stride_in_1x1: bool = False
    parts: int = 6
    part_dim: int = 512
    ipcam: bool = True
    cumulative: bool = False
    cmaam: bool = True
    sharpness: float = 50.0
    pooling_exponent: float = 3.0
    neck_per_modality: bool = False
    identities: int = 0

    def __post_init__(self) -> None:
        if self.parts < 1 or self.part_dim < 1 or self.identities < 0:
            raise ValueError(
                "expected parts >= 1, part_dim >= 1 and identities >= 0, "
                f"got {self.parts}, {self.part_dim} and {self.identities}"
            )
        if not self.sharpness > 0:
            raise ValueError(f"sharpness: expected more than 0, got {self.sharpness}")


@dataclass(frozen=True, slots=True)
class DenseMaps:
    """What `models.losses.dense_triplet` takes, for R rows (R * N for clips) of U = H * W places, in float32.

    Attributes:
        own: ``[R, C, U]``, the pictures' own maps.
        positive: ``[R, C, U]``, rebuilt from the other light's picture of the same row.
        negative: ``[R, C, U]``, rebuilt from the other light's picture of another identity.
        mask: ``[R, U]`` in 0..1, where own picture and positive both show a person.
    """

    own: Tensor
    positive: Tensor
    negative: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class TacafnetOutput:
    """A training forward of R visible and R infrared rows that show the same identities.

    Attributes:
        visible, infrared: the whole pictures.
        visible_parts, infrared_parts: each part from top to bottom, then the cumulative ones if there are any.
        visible_pair_parts, infrared_pair_parts: the same parts after asking the other light's picture of the
            row; empty without IPCAM.
        visible_reconstructed, infrared_reconstructed: the pooled maps that were rebuilt from the other light's
            picture of the row; None without CMAAM.
        visible_dense, infrared_dense: None without CMAAM or without negatives.
    """

    visible: HeadOutput
    infrared: HeadOutput
    visible_parts: tuple[HeadOutput, ...]
    infrared_parts: tuple[HeadOutput, ...]
    visible_pair_parts: tuple[HeadOutput, ...]
    infrared_pair_parts: tuple[HeadOutput, ...]
    visible_reconstructed: HeadOutput | None
    infrared_reconstructed: HeadOutput | None
    visible_dense: DenseMaps | None
    infrared_dense: DenseMaps | None


class Tacafnet(nn.Module):
    """The network. Input is what `preprocessing` makes, by default 288 x 144."""

    name = "tacafnet"
    frames = 1

    def __init__(self, options: TacafnetOptions, preprocessing: Preprocessing) -> None:
        """ValueError for a height whose last map the parts do not divide."""
        super().__init__()
        self.config = options
        self.preprocessing = preprocessing
        self.trunk = TwoStemTrunk(
            options.backbone, last_stride=options.last_stride, stride_in_1x1=options.stride_in_1x1
        )
        rows = -(-preprocessing.height_px // self.trunk.strides[5])
        if rows % options.parts:
            raise ValueError(
                f"parts: expected a number that divides the {rows} rows of the last map for a height of "
                f"{preprocessing.height_px} px, got {options.parts}"
            )
        channels = self.trunk.channels[5]
        self.pool = GeM(options.pooling_exponent)
        self.part_pool = PartPool(options.parts, options.pooling_exponent)
        self.reduce = nn.Linear(channels, options.part_dim, bias=False)
        self.graph = PartGraphAttention(options.part_dim, options.parts) if options.ipcam else None
        self.head = HalvesHead(
            channels,
            options.identities,
            neck_per_modality=options.neck_per_modality,
            training_kinds=(_RECONSTRUCTED,) if options.cmaam else (),
        )
        count = 2 * options.parts - 1 if options.cumulative else options.parts
        self.part_heads = nn.ModuleList(
            HalvesHead(
                options.part_dim,
                options.identities,
                neck_per_modality=options.neck_per_modality,
                training_kinds=(_PAIR,) if options.ipcam else (),
            )
            for _ in range(count)
        )
        self.embedding_dim = channels + count * options.part_dim

    @property
    def options(self) -> dict[str, Any]:
        return asdict(self.config)

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Start both stems and the shared stages from released ImageNet weights. ValueError if they do not fit."""
        self.trunk.load_imagenet(state)

    def trunk_parameters(self) -> list[nn.Parameter]:
        """What `load_pretrained` fills."""
        return list(self.trunk.parameters())

    def forward(self, visible: Tensor, infrared: Tensor, negatives: Tensor | None = None) -> TacafnetOutput:
        """Train on aligned halves: row i of both shows the same identity.

        Args:
            visible, infrared: ``[R, 3, H, W]``, or clips ``[R, N, 3, H, W]`` whose frames' features are averaged and
                whose maps are aligned frame by frame.
            negatives: ``int64[R]``, for each row one that shows another identity, whose pictures of the other light
                are what row i is rebuilt from as a negative; None for no dense maps.

        Raises:
            ValueError: halves of two shapes, or negatives of another shape or out of range.
        """
        halves, frames = fold_halves(visible, infrared)
        if negatives is not None:
            negatives = _frame_rows(negatives, len(visible), frames)
        maps = self.trunk(halves)
        pooled = self.pool(maps)
        nodes = self._nodes(maps, pooled)
        others = nodes.roll(len(nodes) // 2, dims=0)  # each row's picture of the other light
        whole = self.head(frame_mean(pooled, frames))
        parts = self._part_outputs(self._related(nodes), frames)
        pairs: tuple[tuple[HeadOutput, ...], ...] = ((), ())
        if self.config.ipcam:
            pairs = self._part_outputs(self._related(nodes, others), frames, _PAIR)
        rebuilt: tuple[HeadOutput | None, ...] = (None, None)
        dense: tuple[DenseMaps | None, ...] = (None, None)
        if self.config.cmaam:
            rebuilt, dense = self._aligned(maps, frames, negatives)
        return TacafnetOutput(
            visible=whole[0],
            infrared=whole[1],
            visible_parts=parts[0],
            infrared_parts=parts[1],
            visible_pair_parts=pairs[0],
            infrared_pair_parts=pairs[1],
            visible_reconstructed=rebuilt[0],
            infrared_reconstructed=rebuilt[1],
            visible_dense=dense[0],
            infrared_dense=dense[1],
        )

    def embed(self, pictures: Tensor, modality: Modality) -> Tensor:
        """Embed pictures or clips of one kind of light; see `models.registry.ReidNetwork`.

        Raises:
            ValueError: another rank or number of channels, or a height that the parts do not divide.
        """
        folded, frames = fold(pictures)
        maps = self.trunk({modality: folded})
        pooled = self.pool(maps)
        parts = self._related(self._nodes(maps, pooled)).unbind(dim=1)
        heads = zip((self.head, *self.part_heads), (pooled, *parts), strict=True)
        return unit_vectors(torch.cat([head.embed(feature, modality) for head, feature in heads], dim=1), frames)

    def _nodes(self, maps: Tensor, pooled: Tensor) -> Tensor:
        """Maps ``[F, C, H, W]`` and their pooled ``[F, C]`` -> nodes of the graph, ``[F, p + 1, d]``."""
        parts = self.part_pool(maps).unflatten(1, (self.config.parts, -1))
        nodes: Tensor = self.reduce(torch.cat((pooled[:, None], parts), dim=1))
        return nodes

    def _related(self, nodes: Tensor, others: Tensor | None = None) -> Tensor:
        """Nodes -> the features of the part heads, ``[F, count, d]``."""
        related = nodes if self.graph is None else self.graph(nodes, others)
        parts = related[:, 1:]
        return torch.cat((parts, cumulative_means(parts)), dim=1) if self.config.cumulative else parts

    def _part_outputs(
        self, parts: Tensor, frames: int, kind: str | None = None
    ) -> tuple[tuple[HeadOutput, ...], tuple[HeadOutput, ...]]:
        halves = [
            head(frame_mean(part, frames), kind)
            for head, part in zip(self.part_heads, parts.unbind(dim=1), strict=True)
        ]
        return tuple(visible for visible, _ in halves), tuple(infrared for _, infrared in halves)

    def _aligned(
        self, maps: Tensor, frames: int, negatives: Tensor | None
    ) -> tuple[tuple[HeadOutput, HeadOutput], tuple[DenseMaps | None, DenseMaps | None]]:
        """CMAAM on both halves of the maps, either way."""
        visible, infrared = maps.flatten(2).chunk(2)  # R C U each
        both = ((visible, infrared), (infrared, visible))
        positives = [reconstruct(own, other, self.config.sharpness) for own, other in both]
        features = self.pool(torch.cat([p.maps for p in positives])[..., None])
        rebuilt = self.head(frame_mean(features, frames), _RECONSTRUCTED)
        if negatives is None:
            return rebuilt, (None, None)
        dense = [
            DenseMaps(
                own.float(),
                positive.maps,
                reconstruct(own, other[negatives], self.config.sharpness).maps,
                positive.mask,
            )
            for (own, other), positive in zip(both, positives, strict=True)
        ]
        return rebuilt, (dense[0], dense[1])


def _frame_rows(negatives: Tensor, rows: int, frames: int) -> Tensor:
    """Rows ``int64[R]`` of clips -> rows ``int64[R * N]`` of their frames, each frame to its like."""
    if negatives.shape != (rows,) or negatives.dtype != torch.int64:
        raise ValueError(f"negatives: expected int64[{rows}], got {negatives.dtype}{list(negatives.shape)}")
    if rows and not 0 <= int(negatives.min()) <= int(negatives.max()) < rows:
        raise ValueError(f"negatives: expected rows of 0..{rows - 1}, got {negatives.tolist()}")
    return (negatives[:, None] * frames + torch.arange(frames, device=negatives.device)).flatten()


@register_model(Tacafnet.name)
def tacafnet(*, preprocessing: Preprocessing | None = None, **options: Any) -> Tacafnet:
    """Build a `Tacafnet` from `TacafnetOptions` by name; TypeError names an unknown option."""
    return Tacafnet(TacafnetOptions(**options), preprocessing or Preprocessing(height_px=288, width_px=144))
