"""Queries and galleries of each benchmark, as rows of its test samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.data.samples import Sample
from models.evaluation.draws import OfficialPermutation, draw_agw, draw_official, pictures_of
from models.evaluation.metrics import IntArray
from models.types import Modality

__all__ = ["Direction", "Draw", "SearchMode", "Trial", "TrialOptions", "trials"]


class SearchMode(StrEnum):
    """SYSU-MM01's gallery cameras: 1, 2, 4 and 5, or the two inside a building, 1 and 2."""

    ALL = "all"
    INDOOR = "indoor"


class Draw(StrEnum):
    """How gallery pictures are drawn, see `models.evaluation.draws`."""

    AGW = "agw"
    OFFICIAL = "official"


class Direction(StrEnum):
    """Light of the queries, then light of the gallery."""

    INFRARED_TO_VISIBLE = "infrared-to-visible"
    VISIBLE_TO_INFRARED = "visible-to-infrared"

    @property
    def query(self) -> Modality:
        return Modality.INFRARED if self is Direction.INFRARED_TO_VISIBLE else Modality.VISIBLE


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """What a protocol leaves to choose. Each concerns some protocols only and stays as it is for the others.

    Attributes:
        mode: gallery cameras (sysu-mm01).
        shots: gallery pictures of a person in a camera, the field's are 1 and 10 (sysu-mm01).
        draw: how they are drawn (sysu-mm01).
        permutation: ``rand_perm_cam.mat``, for the official draw (sysu-mm01).
        count: how many galleries are drawn (sysu-mm01, llcm).
        direction: which light asks (regdb, llcm, hitsz-vcm).
        as_coded: LLCM's released test code, asked for visible-to-infrared, takes the one drawn *infrared* picture
            of each person and camera as the queries and all visible pictures as the gallery. True repeats
            that, for comparison with figures made so; the paper's definition is the default (llcm).
    """

    mode: SearchMode = SearchMode.ALL
    shots: int = 1
    draw: Draw = Draw.AGW
    permutation: Path | None = None
    count: int = 10
    direction: Direction = Direction.INFRARED_TO_VISIBLE
    as_coded: bool = False

    def __post_init__(self) -> None:
        for name, kind in (("mode", SearchMode), ("draw", Draw), ("direction", Direction)):
            try:
                object.__setattr__(self, name, kind(getattr(self, name)))
            except ValueError as error:
                raise ValueError(f"{name}: expected {' or '.join(kind)}, got {getattr(self, name)!r}") from error
        if self.shots < 1 or self.count < 1:
            raise ValueError(f"expected shots and count of at least 1, got {self.shots} and {self.count}")
        if (self.draw is Draw.OFFICIAL) != (self.permutation is not None):
            raise ValueError(f"permutation: expected a file with the official draw only, got {self.permutation}")
        if self.draw is Draw.OFFICIAL and self.count > 10:
            raise ValueError(f"count: expected at most 10 with the official draw, got {self.count}")
        if self.as_coded and self.direction is not Direction.VISIBLE_TO_INFRARED:
            raise ValueError(f"as_coded: expected with visible-to-infrared only, got {self.direction}")


@dataclass(frozen=True, eq=False)
class Trial:
    """Queries and gallery of one trial, as rows of the samples they were taken from."""

    name: str
    query_rows: IntArray
    gallery_rows: IntArray


_DEFAULT = TrialOptions()
_CONCERNS = {
    "sysu-mm01": {"mode", "shots", "draw", "permutation", "count"},
    "regdb": {"direction"},
    "llcm": {"count", "direction", "as_coded"},
    "hitsz-vcm": {"direction"},
}
_GALLERY_CAMERAS = {SearchMode.ALL: (1, 2, 4, 5), SearchMode.INDOOR: (1, 2)}


def trials(
    protocol: str,
    samples: Sequence[Sample],
    options: TrialOptions = _DEFAULT,
    *,
    queries: Sequence[int] | None = None,
) -> list[Trial]:
    """Lay out what `protocol` compares with what.

    Args:
        samples: the test part, or a validation part that is judged the same way.
        queries: for hitsz-vcm, the rows that its list names (`ReidDataset.queries`); None for all infrared ones.

    Raises:
        KeyError: an unknown protocol; the message lists the known ones.
        ValueError: an option that does not concern this protocol, or nothing to ask or to look among.
        DataError: the official permutation does not fit the samples.
    """
    if protocol not in _CONCERNS:
        raise KeyError(f"no protocol called {protocol!r}; there are {', '.join(_CONCERNS)}")
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name not in _CONCERNS[protocol] and value != getattr(_DEFAULT, field.name):
            raise ValueError(f"{field.name}: expected nothing for {protocol}, which leaves no such choice, got {value}")
    if queries is not None and protocol != "hitsz-vcm":
        raise ValueError(f"queries: expected None for {protocol}, whose queries follow from the light")
    if protocol == "sysu-mm01":
        laid_out = _sysu_mm01(samples, options)
    elif protocol == "llcm":
        laid_out = _llcm(samples, options)
    else:
        laid_out = [_everything(samples, options.direction, queries)]
    for trial in laid_out:
        if not (len(trial.query_rows) and len(trial.gallery_rows)):
            raise ValueError(
                f"{protocol}, {trial.name}: expected queries and a gallery, got {len(trial.query_rows)} and "
                f"{len(trial.gallery_rows)} of {len(samples)} samples"
            )
    return laid_out


def _sysu_mm01(samples: Sequence[Sample], options: TrialOptions) -> list[Trial]:
    cameras = _GALLERY_CAMERAS[options.mode]
    gallery = [row for row in _of(samples, Modality.VISIBLE) if samples[row].camera in cameras]
    groups = pictures_of(samples, gallery)
    permutation = OfficialPermutation(options.permutation) if options.permutation is not None else None
    found = []
    for number in range(options.count):
        if permutation is None:
            rows = draw_agw(groups, options.shots, number)
        else:
            rows = draw_official(groups, options.shots, number, permutation)
        found.append(_trial(number, _of(samples, Modality.INFRARED), rows))
    return found


def _llcm(samples: Sequence[Sample], options: TrialOptions) -> list[Trial]:
    query = _of(samples, options.direction.query)
    gallery = _of(samples, options.direction.query.other)
    groups = pictures_of(samples, gallery)
    drawn = [draw_agw(groups, 1, number) for number in range(options.count)]
    if options.as_coded:
        return [_trial(number, rows, query) for number, rows in enumerate(drawn)]
    return [_trial(number, query, rows) for number, rows in enumerate(drawn)]


def _everything(samples: Sequence[Sample], direction: Direction, queries: Sequence[int] | None) -> Trial:
    listed = set(_of(samples, Modality.INFRARED) if queries is None else queries)
    infrared = [row for row in range(len(samples)) if row in listed]
    visible = [row for row in range(len(samples)) if row not in listed]
    pair = (infrared, visible) if direction is Direction.INFRARED_TO_VISIBLE else (visible, infrared)
    return Trial(str(direction), np.array(pair[0], np.int64), np.array(pair[1], np.int64))


def _of(samples: Sequence[Sample], modality: Modality) -> list[int]:
    return [row for row, sample in enumerate(samples) if sample.modality is modality]


def _trial(number: int, query_rows: npt.ArrayLike, gallery_rows: npt.ArrayLike) -> Trial:
    return Trial(f"trial {number + 1}", np.array(query_rows, np.int64), np.array(gallery_rows, np.int64))
