"""LLCM (Zhang and Wang, CVPR 2023): nine cameras, visible and near infrared, 713 people to train, 351 to test.

``idx/train_{vis,nir}.txt`` with lines ``vis/0001/0001_c04_s185535_f7010_vis.jpg 0``, ``idx/test_id.txt`` and
``test_{vis,nir}/cam{1..9}/{person:04d}/*.jpg``. Person and camera of a training picture stand in its name; the label
is only a count.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from models.data.findings import Findings
from models.data.layout import Parts, disjoint
from models.data.lists import (
    first_few,
    numbered,
    picture_files,
    read_labelled,
    read_numbers,
    require_folder,
    subfolders,
)
from models.data.samples import DataError, Sample
from models.data.splits import HELD_OUT, hold_out
from models.types import Modality

__all__ = ["OFFICIAL", "read"]

OFFICIAL = {
    "training identities": 713,
    "training visible": 16946,
    "training infrared": 13975,
    "test identities": 351,
}
_CAMERAS = range(1, 10)
_LIGHTS = {Modality.VISIBLE: "vis", Modality.INFRARED: "nir"}
_NAME = re.compile(r"(\d{1,6})_c(\d{1,3})(?!\d)", re.ASCII)


def read(root: Path, findings: Findings, *, validation: str = HELD_OUT, validation_fraction: float = 0.1) -> Parts:
    """Read the folder.

    Args:
        validation: ``held-out`` for `validation_fraction` of the training people, ``none`` to train on all.
    """
    require_folder(root, "idx", "lists of pictures")
    training = [sample for modality in _LIGHTS for sample in _listed(root, modality, findings)]
    try:
        people = set(read_numbers(root / "idx" / "test_id.txt", findings, below=10_000))
    except DataError as error:
        findings.problem(str(error))
        people = set()
    test = [sample for modality in _LIGHTS for sample in _tested(root, modality, people)]
    absent = sorted(people - {sample.identity for sample in test})
    if absent:
        findings.problem(f"{root}: {len(absent)} listed test people have no pictures: {first_few(absent)}")
    if findings.collect:
        folders = {
            folder.name
            for light in _LIGHTS.values()
            for camera in _CAMERAS
            for folder in subfolders(root / f"test_{light}" / f"cam{camera}")
        }
        extra = sorted(folder for folder in folders if numbered(folder) not in people)
        if extra:
            findings.note(f"{len(extra)} test people have folders but are in no list: {first_few(extra)}")
    learned = disjoint(training, test, findings)
    held_out = hold_out((sample.identity for sample in learned), validation, validation_fraction)
    return Parts("llcm", learned, held_out, tuple(test))


def _listed(root: Path, modality: Modality, findings: Findings) -> list[Sample]:
    file = root / "idx" / f"train_{_LIGHTS[modality]}.txt"
    try:
        listed = read_labelled(root, file, findings)
    except DataError as error:
        findings.problem(str(error))
        return []
    samples: list[Sample] = []
    wrong: list[str] = []
    people: dict[int, set[int]] = defaultdict(set)
    for path, label in listed:
        match = _NAME.match(path.name)
        if match is None:
            wrong.append(path.name)
            continue
        samples.append(Sample((path,), int(match[1]), int(match[2]), modality))
        people[label].add(int(match[1]))
    if wrong:
        findings.problem(f"{file}: expected names 'person_ccamera_...', got {first_few(wrong)}")
    mixed = sorted(label for label, named in people.items() if len(named) > 1)
    if mixed:
        findings.note(f"{file}: {len(mixed)} labels stand for more than one person by name: {first_few(mixed)}")
    return samples


def _tested(root: Path, modality: Modality, people: set[int]) -> list[Sample]:
    return [
        Sample((file,), person, camera, modality)
        for person in sorted(people)
        for camera in _CAMERAS
        for file in picture_files(root / f"test_{_LIGHTS[modality]}" / f"cam{camera}" / f"{person:04d}")
    ]
