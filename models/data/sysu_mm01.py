"""SYSU-MM01 (Wu et al., ICCV 2017): six cameras, cam3 and cam6 near infrared, 395 people to train, 96 to test.

``cam{1..6}/{person:04d}/{frame:04d}.jpg`` beside ``exp/{train,val,test}_id.txt`` (or ``.mat``); 296 + 99 people train.

Decision: 296 train and the official 99 validate, so that epochs are chosen without the test part; published
figures come from all 395, which ``validation="none"`` gives.

The arrays that AGW's preprocessing writes (``train_{rgb,ir}_resized_{img,label}.npy``, 288 x 144, RGB) stand in for
the pictures to learn from where they lie in the root. They name neither camera (0 here) nor person: label k is the
k-th of the 395 in ascending order. Validation and test always read the pictures, because they need the cameras.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Any

import numpy as np

from models.data.findings import Findings
from models.data.layout import Parts
from models.data.lists import (
    check_numbers,
    first_few,
    numbered,
    picture_files,
    read_numbers,
    require_folder,
    subfolders,
)
from models.data.pictures import open_array
from models.data.samples import ArrayRow, DataError, Sample
from models.data.splits import HELD_OUT, check_validation
from models.types import Modality

__all__ = ["OFFICIAL", "assemble", "identities", "read"]

OFFICIAL = {
    "training identities": 395,
    "training visible": 22258,
    "training infrared": 11909,
    "test identities": 96,
    "test visible": 6775,
    "test infrared": 3803,
}
_CAMERAS = range(1, 7)
_INFRARED_CAMERAS = (3, 6)
_MAX_PERSON = 9999  # folders have four digits
_ARRAY_NAMES = {Modality.VISIBLE: "rgb", Modality.INFRARED: "ir"}


def read(root: Path, findings: Findings, *, validation: str = HELD_OUT, arrays: bool | None = None) -> Parts:
    """Read the folder.

    Args:
        validation: ``held-out`` for the official 99 people, ``none`` to train on all 395.
        arrays: True to learn from AGW's arrays, False from the pictures, None from the arrays if they are there.
    """
    check_validation(validation)
    require_folder(root, "exp", "lists of people")
    train, val, test = (identities(root, part, findings) for part in ("train", "val", "test"))
    held_out = frozenset(val if validation == HELD_OUT else ())
    if arrays is None:
        arrays = any(file.exists() for files in _array_files(root).values() for file in files)
    return assemble(root, findings, {*train, *val}, held_out, set(test), arrays=arrays)


def identities(root: Path, part: str, findings: Findings) -> list[int]:
    """The people of ``exp/{part}_id.txt``, or of the ``.mat`` beside it if there is no text."""
    text, matlab = (root / "exp" / f"{part}_id{suffix}" for suffix in (".txt", ".mat"))
    try:
        if text.exists() or not matlab.exists():
            return read_numbers(text, findings, below=_MAX_PERSON + 1)
        return check_numbers(matlab, _matlab_words(matlab), findings, below=_MAX_PERSON + 1)
    except DataError as error:
        findings.problem(str(error))
        return []


def _matlab_words(file: Path) -> list[str]:
    from scipy.io import loadmat  # type: ignore[import-untyped]  # a tenth of a second, only here

    try:
        values = np.asarray(loadmat(file)["id"]).ravel()
    except (OSError, KeyError, ValueError, TypeError, NotImplementedError) as error:
        raise DataError(f"{file}: expected a MATLAB file with a list 'id' ({error})") from error
    return [str(value) for value in values]


def assemble(
    root: Path, findings: Findings, training: Set[int], held_out: Set[int], test: Set[int], *, arrays: bool = False
) -> Parts:
    """Samples of the listed people from the camera folders, in the order person, camera, name of the file."""
    missing = [f"cam{camera}" for camera in _CAMERAS if not (root / f"cam{camera}").is_dir()]
    if missing:
        findings.problem(f"{root}: expected folders cam1 to cam6, there is no {', '.join(missing)}")
    overlap = training & test
    if overlap:
        findings.problem(f"{len(overlap)} people are listed for training and test: {first_few(sorted(overlap))}")
    from_arrays = _array_samples(root, findings, training - held_out) if arrays else None
    learned = _picture_samples(root, findings, training - held_out) if from_arrays is None else from_arrays
    samples = (*learned, *_picture_samples(root, findings, held_out))
    if findings.collect:
        _note_unlisted(root, findings, training | test)
    return Parts("sysu-mm01", samples, frozenset(held_out), tuple(_picture_samples(root, findings, test)))


def _picture_samples(root: Path, findings: Findings, people: Set[int]) -> list[Sample]:
    samples: list[Sample] = []
    absent: list[int] = []
    for person in sorted(people):
        before = len(samples)
        for camera in _CAMERAS:
            modality = Modality.INFRARED if camera in _INFRARED_CAMERAS else Modality.VISIBLE
            files = picture_files(root / f"cam{camera}" / f"{person:04d}")
            samples += [Sample((file,), person, camera, modality) for file in files]
        if len(samples) == before:
            absent.append(person)
    if absent:
        findings.problem(f"{root}: {len(absent)} listed people have no pictures in any camera: {first_few(absent)}")
    return samples


def _note_unlisted(root: Path, findings: Findings, listed: Set[int]) -> None:
    found = {numbered(folder.name) for camera in _CAMERAS for folder in subfolders(root / f"cam{camera}")}
    extra = sorted(person for person in found - listed if person is not None)
    if extra:
        findings.note(f"{len(extra)} people have folders but are in no list: {first_few(extra)}")


def _array_files(root: Path) -> dict[Modality, tuple[Path, Path]]:
    return {
        modality: (root / f"train_{name}_resized_img.npy", root / f"train_{name}_resized_label.npy")
        for modality, name in _ARRAY_NAMES.items()
    }


def _array_samples(root: Path, findings: Findings, people: Set[int]) -> list[Sample] | None:
    """Rows of the arrays of the given people; None when the arrays cannot be used, which is a problem."""
    official = sorted(
        {*identities(root, "train", Findings(collect=True)), *identities(root, "val", Findings(collect=True))}
    )
    samples: list[Sample] = []
    try:
        for modality, (pictures, file) in _array_files(root).items():
            labels = _labels(file, len(open_array(pictures)), len(official))
            samples += [
                Sample((ArrayRow(pictures, row),), official[label], 0, modality)
                for row, label in enumerate(labels)
                if official[label] in people
            ]
    except DataError as error:
        findings.problem(str(error))
        return None
    return samples


def _labels(file: Path, rows: int, people: int) -> list[int]:
    try:
        labels: Any = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: expected an array of labels ({error})") from error
    if labels.shape != (rows,) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{file}: expected {rows} whole numbers, got {labels.dtype}{list(labels.shape)}")
    if not rows or labels.min() != 0 or labels.max() != people - 1:
        span = f"{labels.min()} to {labels.max()}" if rows else "none"
        raise DataError(f"{file}: expected labels 0 to {people - 1}, one for each listed person, got {span}")
    return labels.tolist()  # type: ignore[no-any-return]
