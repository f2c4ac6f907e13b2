"""The cross-modal alignment attention module (CMAAM) of TACAFNet: one light's map rebuilt from the other's.

The paper has prose and no equations; what it describes is CMAlign of Park et al., "Learning by aligning:
Visible-infrared person re-identification using cross-modal correspondences" (LbA), ICCV 2021, eqs. 1-6.
It has no parameters and is used in training only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Reconstruction", "correspondence", "person_mask", "reconstruct"]

_EPS = 1e-6


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Maps ``[R, C, U]`` rebuilt from another picture, U = H * W places in a row.

    Attributes:
        maps: ``[R, C, U]``, in the arrangement of the own picture.
        mask: ``[R, U]`` in 0..1, where both pictures show a person; detached.
    """

    maps: Tensor
    mask: Tensor


def person_mask(maps: Tensor) -> Tensor:
    """``[R, C, U]`` -> ``[R, U]`` in 0..1: how active each place is (its norm, stretched over the map); detached."""
    return _stretched(maps.detach().float().norm(dim=1))


def correspondence(own: Tensor, other: Tensor, sharpness: float = 50.0) -> Tensor:
    """``[R, C, U]`` x ``[R, C, V]`` -> ``[R, U, V]``: softmax over V of ``sharpness * cos``; rows sum to one."""
    # A dead place has no direction; the floor keeps its gradient moderate.
    unit = [nn.functional.normalize(maps.float(), dim=1, eps=1e-3) for maps in (own, other)]
    return (sharpness * (unit[0].transpose(1, 2) @ unit[1])).softmax(dim=2)


def reconstruct(own: Tensor, other: Tensor, sharpness: float = 50.0) -> Reconstruction:
    """``m * (P other) + (1 - m) * own``: persons from the other picture, background from one's own.

    Calculated in float32: a sharpness of 50 leaves nothing of half precision's cosines.

    Args:
        own, other: ``[R, C, U]``, row by row of the pictures to align.
    """
    with torch.autocast(own.device.type, enabled=False):
        own, other = own.float(), other.float()
        matches = correspondence(own, other, sharpness)
        mask = person_mask(own)
        warped = other @ matches.transpose(1, 2)  # R C U
        seen_there = (matches.detach() @ person_mask(other)[:, :, None])[:, :, 0]
        blend = mask[:, None, :]
        return Reconstruction(blend * warped + (1 - blend) * own, _stretched(mask * seen_there))


def _stretched(values: Tensor) -> Tensor:
    """``[R, U]`` -> from 0 at the smallest of a row to 1 at its largest; all 0 where they are equal."""
    smallest, largest = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    return (values - smallest) / (largest - smallest).clamp_min(_EPS)
