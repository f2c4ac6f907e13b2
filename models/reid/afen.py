"""AFEN: Attention and Feature Enhancement Network.

Feng and Ma, "Attention mechanism and feature enhancement for visible-infrared person re-identification".

AGW's two-stem trunk (`models.reid.two_stem`) with median-enhanced attention (`models.layers.mecs`) between its
stages and feature enhancement (`models.layers.fem`) on its last map; GeM, batch-norm neck, classifier.

Where the paper is silent:
- Neither module's place is said. MECS stands after the shared layer2 and layer3 (`mecs_stages`), where there
  are both channels and places to weigh; FEM after layer4, before pooling.
- FEM works at 512 channels between two 1x1 convolutions (`fem_width`); at ResNet's 2048 its ConvMLP alone would
  be larger than the trunk.
- Both start as the identity, so that pretrained weights and batch norm statistics hold at the start.
- r of the channel attention is 4, as in the published module.
- The neck normalises all rows together, as in CAJ, the evident baseline; ``neck_per_modality`` is the other way.

Literal forms: ``literal_mecs`` (no scale that starts at zero), ``fem_width`` equal to the trunk's channels (FEM at
full width, without the 1x1 convolutions around it). ``mecs_stages=()`` and ``fem_width=0`` leave the modules out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from models.layers.fem import FeatureEnhancement, ReducedFeatureEnhancement
from models.layers.gem import GeM
from models.layers.mecs import MedianEnhancedAttention
from models.preprocessing import Preprocessing
from models.registry import register_model
from models.reid.heads import HeadOutput, fold, frame_mean, unit_vectors
from models.reid.two_stem import HalvesHead, TwoStemTrunk, fold_halves
from models.types import Modality

__all__ = ["Afen", "AfenOptions", "AfenOutput"]


@dataclass(frozen=True, slots=True)
class AfenOptions:
    """Everything that shapes an AFEN; plain values, kept in the checkpoint.

    Attributes:
        backbone: ``resnet50`` (the paper's) or ``mobilenetv2`` (for machines without a GPU).
        last_stride: of stage 5; 1 keeps the map at a sixteenth of the input.
        stride_in_1x1: ResNet v1 weights instead of v1.5.
        mecs_stages: after which of stages 2..5 MECS stands; 3 and 4 are ResNet's layer2 and layer3.
        mecs_reduction: r of its channel attention.
        literal_mecs: eqs. 1-4 as printed, instead of added with a scale that starts at zero.
        fem_width: channels FEM works at; the trunk's own for the literal form, 0 for no FEM.
        pooling_exponent: p of GeM; 1 is the mean.
        neck_per_modality: batch norm for each kind of light.
        identities: size of the classifier, 0 for none.
    """

    backbone: str = "resnet50"
    last_stride: int = 1
    stride_in_1x1: bool = False
    mecs_stages: tuple[int, ...] = (3, 4)
    mecs_reduction: int = 4
    literal_mecs: bool = False
    fem_width: int = 512
    pooling_exponent: float = 3.0
    neck_per_modality: bool = False
    identities: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mecs_stages", tuple(self.mecs_stages))  # JSON has no tuples
        if list(self.mecs_stages) != sorted(set(self.mecs_stages)) or not set(self.mecs_stages) <= {2, 3, 4, 5}:
            raise ValueError(f"mecs_stages: expected ascending stages of 2..5, got {self.mecs_stages}")
        if self.mecs_reduction < 1 or self.fem_width < 0 or self.identities < 0:
            raise ValueError(
                "expected mecs_reduction >= 1, fem_width >= 0 and identities >= 0, "
                f"got {self.mecs_reduction}, {self.fem_width} and {self.identities}"
            )


@dataclass(frozen=True, slots=True)
class AfenOutput:
    """A training forward of R visible and R infrared rows that show the same identities."""

    visible: HeadOutput
    infrared: HeadOutput


class Afen(nn.Module):
    """The network. Input is what `preprocessing` makes, by default 288 x 144."""

    name = "afen"
    frames = 1

    def __init__(self, options: AfenOptions, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.config = options
        self.preprocessing = preprocessing
        self.trunk = TwoStemTrunk(
            options.backbone, last_stride=options.last_stride, stride_in_1x1=options.stride_in_1x1
        )
        channels = self.trunk.channels
        self.mecs = nn.ModuleDict(
            {
                str(stage): MedianEnhancedAttention(
                    channels[stage], options.mecs_reduction, literal=options.literal_mecs
                )
                for stage in options.mecs_stages
            }
        )
        self.embedding_dim = channels[5]
        self.fem: nn.Module = nn.Identity()
        if options.fem_width == self.embedding_dim:
            self.fem = FeatureEnhancement(self.embedding_dim)
        elif options.fem_width:
            self.fem = ReducedFeatureEnhancement(self.embedding_dim, options.fem_width)
        self.pool = GeM(options.pooling_exponent)
        self.head = HalvesHead(self.embedding_dim, options.identities, neck_per_modality=options.neck_per_modality)

    @property
    def options(self) -> dict[str, Any]:
        return {**asdict(self.config), "mecs_stages": list(self.config.mecs_stages)}

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Start both stems and the shared stages from released ImageNet weights. ValueError if they do not fit."""
        self.trunk.load_imagenet(state)

    def trunk_parameters(self) -> list[nn.Parameter]:
        """What `load_pretrained` fills."""
        return list(self.trunk.parameters())

    def forward(self, visible: Tensor, infrared: Tensor) -> AfenOutput:
        """Train on aligned halves: row i of both shows the same identity.

        Args:
            visible, infrared: ``[R, 3, H, W]``, or clips ``[R, N, 3, H, W]`` whose frames' features are averaged.
        """
        halves, frames = fold_halves(visible, infrared)
        return AfenOutput(*self.head(frame_mean(self._features(halves), frames)))

    def embed(self, pictures: Tensor, modality: Modality) -> Tensor:
        """Embed pictures or clips of one kind of light; see `models.registry.ReidNetwork`.

        Raises:
            ValueError: another rank or number of channels.
        """
        folded, frames = fold(pictures)
        return unit_vectors(self.head.embed(self._features({modality: folded}), modality), frames)

    def _features(self, halves: Mapping[Modality, Tensor]) -> Tensor:
        """All pictures, one kind of light after the other -> ``[F, D]`` before batch norm."""
        maps = self.trunk(halves, {int(stage): module for stage, module in self.mecs.items()})
        pooled: Tensor = self.pool(self.fem(maps))
        return pooled


@register_model(Afen.name)
def afen(*, preprocessing: Preprocessing | None = None, **options: Any) -> Afen:
    """Build an `Afen` from `AfenOptions` by name; TypeError names an unknown option."""
    return Afen(AfenOptions(**options), preprocessing or Preprocessing(height_px=288, width_px=144))
