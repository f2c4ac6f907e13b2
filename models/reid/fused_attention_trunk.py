"""CrossViT as fused attention's trunk: a fine and a coarse branch, patch embeddings for each kind of light.

Chen et al., "CrossViT", ICCV 2021. Sizes are those that IBM released weights for, which timm holds as
``crossvit_tiny_240`` and ``crossvit_small_240``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.layers.crossvit import MultiScaleBlock
from models.layers.position import resample_positions
from models.layers.vit import LAYER_NORM_EPS
from models.types import Modality

__all__ = ["PATCHES_PX", "SIZES", "BranchOutput", "CrossViT", "CrossViTSize"]

PATCHES_PX = (12, 16)


@dataclass(frozen=True, slots=True)
class CrossViTSize:
    """Of the fine and of the coarse branch; `depths` in each of three multi-scale blocks."""

    widths: tuple[int, int]
    heads: tuple[int, int]
    depths: tuple[int, int] = (1, 4)
    blocks: int = 3


SIZES = {
    "tiny": CrossViTSize(widths=(96, 192), heads=(3, 3)),
    "small": CrossViTSize(widths=(192, 384), heads=(6, 6)),
}


@dataclass(frozen=True, slots=True)
class BranchOutput:
    """Of one branch: ``[B, d]`` its class token, ``[B, d, H / patch, W / patch]`` its patches in their places."""

    class_token: Tensor
    maps: Tensor


class CrossViT(nn.Module):
    """Pictures of both kinds of light -> tokens -> what each branch made of them.

    Positions, class tokens and blocks are shared by both kinds of light, patch embeddings are not.

    Args:
        grids: rows and columns of patches, fine and coarse.
    """

    def __init__(self, size: CrossViTSize, grids: tuple[tuple[int, int], tuple[int, int]]) -> None:
        super().__init__()
        self.grids = grids
        self.patches = nn.ModuleDict(
            {
                modality.value: nn.ModuleList(
                    nn.Conv2d(3, width, patch, patch) for width, patch in zip(size.widths, PATCHES_PX, strict=True)
                )
                for modality in Modality
            }
        )
        self.class_tokens = nn.ParameterList(torch.zeros(1, 1, width) for width in size.widths)
        self.positions = nn.ParameterList(
            torch.zeros(1, 1 + rows * columns, width) for width, (rows, columns) in zip(size.widths, grids, strict=True)
        )
        self.blocks = nn.ModuleList(MultiScaleBlock(size.widths, size.depths, size.heads) for _ in range(size.blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=LAYER_NORM_EPS) for width in size.widths)
        for parameter in (*self.class_tokens, *self.positions):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def tokens(self, pictures: Tensor, modality: Modality, branch: int) -> Tensor:
        """One branch's input (eq. 1): ``[B, 3, H, W]`` -> ``[B, 1 + M, d]``, the class token first.

        Raises:
            ValueError: pictures of another size than the branch's grid of patches.
        """
        patch = PATCHES_PX[branch]
        expected = tuple(patch * count for count in self.grids[branch])
        if tuple(pictures.shape[2:]) != expected:
            raise ValueError(
                f"expected pictures of {expected[0]} x {expected[1]} px, got {pictures.shape[2]} x {pictures.shape[3]}"
            )
        embeddings = self.patches[modality.value]
        assert isinstance(embeddings, nn.ModuleList)  # noqa: S101 - built above; tells the type checker
        tokens = embeddings[branch](pictures).flatten(2).transpose(1, 2)  # B M d
        class_token = self.class_tokens[branch].expand(tokens.shape[0], -1, -1)
        embedded: Tensor = torch.cat((class_token, tokens), dim=1) + self.positions[branch]
        return embedded

    def forward(self, tokens: Sequence[Tensor]) -> list[BranchOutput]:
        """Fine and coarse `tokens` of the same B pictures, whatever their light."""
        branches = list(tokens)
        for block in self.blocks:
            branches = block(branches)
        outputs = []
        for norm, branch, (rows, columns) in zip(self.norms, branches, self.grids, strict=True):
            normalised = norm(branch)
            count, _, width = normalised.shape
            maps = normalised[:, 1:].transpose(1, 2).reshape(count, width, rows, columns)  # B d H W
            outputs.append(BranchOutput(normalised[:, 0], maps))
        return outputs

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Take ImageNet weights by timm's key names; both kinds of light start from the same patch embeddings.

        Positions are resampled to this network's grids; a classifier is left out.

        Raises:
            ValueError: not weights of a CrossViT of this size.
        """
        try:
            ours = _our_names(state)
            for branch, grid in enumerate(self.grids):
                name = f"positions.{branch}"
                if name in ours:
                    ours[name] = resample_positions(ours[name], grid)
            self.load_state_dict(ours)
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"not the weights of this CrossViT: {str(error)[:500]}") from error


_RENAMED = (
    (r"^cls_token[._](\d)$", r"class_tokens.\1"),
    (r"^pos_embed[._](\d)$", r"positions.\1"),
    (r"^norm\.", "norms."),
    (r"^(blocks\.\d+)\.blocks\.", r"\1.branches."),
    (r"^(blocks\.\d+)\.projs\.(\d)\.", r"\1.fusions.\2.project."),
    (r"^(blocks\.\d+)\.revert_projs\.(\d)\.", r"\1.fusions.\2.project_back."),
    (r"^(blocks\.\d+)\.fusion\.(\d)\.norm1\.", r"\1.fusions.\2.norm."),
    (r"^(blocks\.\d+)\.fusion\.(\d)\.", r"\1.fusions.\2."),
    (r"\.mlp\.fc1\.", ".feed_forward.0."),
    (r"\.mlp\.fc2\.", ".feed_forward.2."),
    (r"\.attn\.wq\.", ".attention.query."),
    (r"\.attn\.wk\.", ".attention.key."),
    (r"\.attn\.wv\.", ".attention.value."),
    (r"\.attn\.proj\.", ".attention.out."),
)
"""timm's names (IBM's have a dot before the branch of a token) to ours, one after the other."""


def _our_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    ours: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.startswith("head."):
            continue
        embedding = re.fullmatch(r"patch_embed\.(\d)\.proj\.(weight|bias)", name)
        if embedding is not None:
            ours.update({f"patches.{kind.value}.{embedding[1]}.{embedding[2]}": tensor for kind in Modality})
            continue
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        joined = re.fullmatch(r"(.*)\.attn\.qkv\.(weight|bias)", name)
        if joined is None:
            ours[name] = tensor
        else:
            for part, values in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                ours[f"{joined[1]}.attention.{part}.{joined[2]}"] = values
    return ours
