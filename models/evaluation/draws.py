"""Which pictures of a person in a camera make up a gallery: two conventions that give different figures.

- ``agw``: Python's generator seeded with the number of the trial, from 0, and one choice for each person and camera,
  in ascending order (Ye et al., TPAMI 2021, and most code since). With several shots their loaders draw from
  NumPy's global state, which no seed fixes; here the same generator draws without replacement.
- ``official``: the permutation that SYSU-MM01's makers publish, ``exp/rand_perm_cam.mat``.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.data.samples import DataError, Picture, Sample

__all__ = ["OfficialPermutation", "PersonInCamera", "draw_agw", "draw_official", "pictures_of"]

PersonInCamera = tuple[int, int]  # identity, camera: their order is the order of drawing


def pictures_of(samples: Sequence[Sample], rows: Iterable[int]) -> dict[PersonInCamera, list[int]]:
    """The rows of each person in each camera, ascending; rows of one are sorted by file, as the folders list them."""
    found: dict[PersonInCamera, list[int]] = {}
    for row in rows:
        found.setdefault((samples[row].identity, samples[row].camera), []).append(row)
    return {key: sorted(found[key], key=lambda row: _place(samples[row].pictures[0])) for key in sorted(found)}


def _place(picture: Picture) -> tuple[str, int]:
    return (str(picture), 0) if isinstance(picture, Path) else (str(picture.file), picture.row)


def draw_agw(groups: Mapping[PersonInCamera, Sequence[int]], shots: int, trial: int) -> list[int]:
    """`shots` rows of each group (all, if there are fewer), the generator seeded with `trial`, from 0."""
    generator = random.Random(trial)  # noqa: S311 - the published protocol, not a secret
    rows: list[int] = []
    for group in groups.values():
        rows += [generator.choice(group)] if shots == 1 else generator.sample(group, min(shots, len(group)))
    return rows


class OfficialPermutation:
    """SYSU-MM01's ``rand_perm_cam.mat``: for each camera, person and trial an order of the person's pictures.

    Raises:
        DataError: the file is not there or is something else.
    """

    def __init__(self, path: Path) -> None:
        from scipy.io import loadmat  # type: ignore[import-untyped]  # a tenth of a second, only here

        self.path = path
        try:
            self._cameras: Any = loadmat(path)["rand_perm_cam"]
        except OSError as error:
            raise DataError(f"{path}: expected SYSU-MM01's rand_perm_cam.mat, got {error.strerror or error}") from error
        except (KeyError, ValueError) as error:
            raise DataError(f"{path}: not SYSU-MM01's rand_perm_cam.mat: {error}") from error

    def order(self, identity: int, camera: int, trial: int) -> list[int]:
        """Places from 0 among the person's pictures, sorted by name, in the order of drawing; `trial` from 0."""
        try:
            found = self._cameras[camera - 1][0][identity - 1][0]
            return [int(place) - 1 for place in found[trial]]
        except IndexError as error:
            raise DataError(f"{self.path}: has no trial {trial + 1} of person {identity} in camera {camera}") from error


def draw_official(
    groups: Mapping[PersonInCamera, Sequence[int]], shots: int, trial: int, permutation: OfficialPermutation
) -> list[int]:
    """The first `shots` rows of each group in the published order.

    Raises:
        DataError: a person has another number of pictures in a camera than the file was made for.
    """
    rows: list[int] = []
    for (identity, camera), group in groups.items():
        order = permutation.order(identity, camera, trial)
        if len(order) != len(group):
            raise DataError(
                f"{permutation.path}: expected {len(order)} pictures of person {identity} in camera {camera}, "
                f"got {len(group)}"
            )
        rows += [group[place] for place in order[:shots]]
    return rows
