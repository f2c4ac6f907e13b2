"""Is a data set's folder as its makers lay it out? Everything that is not, in sentences, and never an exception."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.data.datasets import dataset_root, layout_of
from models.data.findings import Findings
from models.data.layout import Parts, count_samples
from models.data.lists import first_few
from models.data.pictures import open_array, read_picture
from models.data.samples import ArrayRow, DataError, Picture, Sample

__all__ = ["DatasetReport", "check_dataset"]

_DECODED = 200  # pictures of the spot check
_SEED = 0
Progress = Callable[[str, float | None], None]


@dataclass(frozen=True)
class DatasetReport:
    """What a check found.

    Attributes:
        problems: what keeps the data set from being used as it should, and where. Empty for a good folder.
        notes: what is unusual yet usable, such as other counts than the released data have.
        counts: identities and samples of each kind of light in the training and the test part.
        pictures: how many pictures the lists name.
        decoded: how many of them were decoded.
    """

    name: str
    root: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    counts: dict[str, int]
    pictures: int
    decoded: int

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, **asdict(self)}


def check_dataset(
    name: str, root: Path | str, *, every_picture: bool = False, progress: Progress | None = None
) -> DatasetReport:
    """Read all lists, look for every picture they name, and decode some of them.

    Args:
        every_picture: decode all, not a spot check of 200.
        progress: called with what is done and its share.

    Raises:
        KeyError: an unknown name. Nothing else: whatever is wrong with the folder is in the report.
    """
    layout = layout_of(name)
    findings = Findings(collect=True)
    counts: dict[str, int] = {}
    pictures: dict[Picture, None] = {}
    try:
        folder = dataset_root(root)
        for options in layout.variants:
            parts = layout.read(folder, findings, **options)
            pictures |= dict.fromkeys(picture for sample in _samples(parts) for picture in sample.pictures)
            _check_parts(parts, findings)
            if not counts:
                counts = count_samples(parts)
                _compare(counts, layout.official, findings)
    except DataError as error:
        findings.problem(str(error))
    present = _present(list(pictures), findings)
    decoded = _decode(present, every_picture, findings, progress)
    once = {kind: tuple(dict.fromkeys(found)) for kind, found in vars(findings).items() if kind != "collect"}
    return DatasetReport(name, str(root), once["problems"], once["notes"], counts, len(pictures), decoded)


def _samples(parts: Parts) -> Iterable[Sample]:
    yield from parts.training
    yield from parts.test


def _check_parts(parts: Parts, findings: Findings) -> None:
    if findings.problems:  # what is missing from the parts follows from them
        return
    for name, samples in (("training", parts.training), ("test", parts.test)):
        lights: dict[int, set[str]] = defaultdict(set)
        for sample in samples:
            lights[sample.identity].add(sample.modality)
        single = sorted(identity for identity, found in lights.items() if len(found) < 2)
        if not samples:
            findings.problem(f"the {name} part is empty")
        elif len(single) == len(lights):
            findings.problem(f"nobody of the {name} part has both visible and infrared samples")
        elif single:
            findings.note(f"{len(single)} people of the {name} part are seen in one light only: {first_few(single)}")


def _compare(counts: dict[str, int], official: Any, findings: Findings) -> None:
    other = [f"{name} {counts[name]} (released: {count})" for name, count in official.items() if counts[name] != count]
    if other:
        findings.note(f"counts other than the released data's: {'; '.join(other)}")


def _present(pictures: list[Picture], findings: Findings) -> list[Picture]:
    """The pictures that are there and not empty; each folder is listed once."""
    files: dict[Path, list[Path]] = defaultdict(list)
    rows: list[Picture] = []
    for picture in pictures:
        if isinstance(picture, ArrayRow):
            rows.append(picture)
        else:
            files[picture.parent].append(picture)
    present: list[Picture] = []
    absent: list[Path] = []
    empty: list[Path] = []
    for folder, wanted in files.items():
        sizes = _sizes(folder)
        for file in wanted:
            size = sizes.get(file.name)
            (absent if size is None else present if size else empty).append(file)
    if absent:
        findings.problem(f"{len(absent)} of {len(pictures)} listed pictures are not there: {first_few(absent)}")
    if empty:
        findings.problem(f"{len(empty)} pictures are empty files: {first_few(empty)}")
    for file in {picture.file for picture in rows if isinstance(picture, ArrayRow)}:
        try:
            open_array(file)
        except DataError as error:
            findings.problem(str(error))
    return [*present, *rows]


def _sizes(folder: Path) -> dict[str, int]:
    """Names and sizes in bytes of the files in a folder."""
    sizes: dict[str, int] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_file():
                        sizes[entry.name] = entry.stat().st_size
                except OSError:  # a link to nowhere is as good as no file
                    continue
    except OSError:
        return {}
    return sizes


def _decode(pictures: list[Picture], everything: bool, findings: Findings, progress: Progress | None) -> int:
    """How many were decoded; those that cannot be are one problem."""
    if not everything and len(pictures) > _DECODED:
        places = np.random.default_rng(_SEED).choice(len(pictures), _DECODED, replace=False)
        pictures = [pictures[place] for place in sorted(places.tolist())]
    broken: list[str] = []
    for place, picture in enumerate(pictures, 1):
        try:
            read_picture(picture)
        except DataError as error:
            broken.append(str(error))
        if progress is not None and (place % 50 == 0 or place == len(pictures)):
            progress("decoding pictures", place / len(pictures))
    if broken:
        findings.problem(f"{len(broken)} of {len(pictures)} decoded pictures are damaged: {first_few(broken)}")
    return len(pictures)
