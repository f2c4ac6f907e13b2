"""HITSZ-VCM (Lin et al., CVPR 2022): tracklets of 927 people, 500 to train, 427 to test, infrared and visible.

``info/{train,test}_name.txt`` name the frames (``0001M2D3T1F1.jpg``: person, light 1 infrared or 2 visible, camera,
track, frame), ``info/track_{train,test}_info.txt`` the tracklets (``light first last person camera``, places in the
names from 1, both included), ``info/query_IDX.txt`` the test tracklets that ask (from 1). A frame lies at
``0001/rgb/D3/1.jpg``, below the root (MITML's layout) or below ``Train`` and ``Test`` (M3-ReID's).

The field's code drops tracklets of fewer than twelve frames, from training and test, without a word in the papers;
``min_frames=0`` keeps all.
"""

from __future__ import annotations

import re
from pathlib import Path

from models.data.findings import Findings
from models.data.layout import Parts, disjoint
from models.data.lists import MAX_NUMBER, first_few, numbered, read_lines, read_numbers, require_folder
from models.data.samples import DataError, Sample
from models.data.splits import HELD_OUT, hold_out
from models.types import Modality

__all__ = ["OFFICIAL", "read"]

OFFICIAL = {
    "training identities": 500,
    "training visible": 5460,
    "training infrared": 4291,
    "test identities": 427,
    "test visible": 5099,
    "test infrared": 4584,
}
_NAME = re.compile(r"(\d{1,6})M([12])D(\d{1,4})T(\d{1,6})F(\d{1,9}\.[A-Za-z]{3,4})", re.ASCII)
_LIGHTS = {1: (Modality.INFRARED, "ir"), 2: (Modality.VISIBLE, "rgb")}


def read(
    root: Path,
    findings: Findings,
    *,
    min_frames: int = 12,
    validation: str = HELD_OUT,
    validation_fraction: float = 0.1,
) -> Parts:
    """Read the folder.

    Args:
        min_frames: shorter tracklets are left out.
        validation: ``held-out`` for `validation_fraction` of the training people, ``none`` to train on all.
    """
    if min_frames < 0:
        raise ValueError(f"min_frames: expected 0 or more, got {min_frames}")
    require_folder(root, "info", "lists of tracklets")
    nested = (root / "Train").is_dir() and (root / "Test").is_dir()
    training = _tracklets(root, "train", root / "Train" if nested else root, findings)
    tested = _tracklets(root, "test", root / "Test" if nested else root, findings)
    kept = [row for row, sample in tested.items() if len(sample.pictures) >= min_frames]
    test = [tested[row] for row in kept]
    learned = disjoint([x for x in training.values() if len(x.pictures) >= min_frames], test, findings)
    if not learned or not test:
        findings.problem(f"{root}: no tracklets of at least {min_frames} frames to {'test' if learned else 'train'} on")
    asking = _queries(root, tested, findings)
    queries = tuple(place for place, row in enumerate(kept) if row in asking)
    held_out = hold_out((sample.identity for sample in learned), validation, validation_fraction)
    return Parts("hitsz-vcm", learned, held_out, tuple(test), queries)


def _queries(root: Path, tested: dict[int, Sample], findings: Findings) -> set[int]:
    """Rows of the test tracklets, from 0."""
    file = root / "info" / "query_IDX.txt"
    try:
        rows = {number - 1 for number in read_numbers(file, findings)}
    except DataError as error:
        findings.problem(str(error))
        return set()
    unknown = sorted(row + 1 for row in rows - tested.keys())
    if unknown:
        findings.problem(f"{file}: names {len(unknown)} tracklets that are not listed: {first_few(unknown)}")
    if findings.collect and any(tested[row].modality is not Modality.INFRARED for row in rows & tested.keys()):
        findings.note(f"{file}: names visible tracklets; the official queries are infrared")
    return rows


def _tracklets(root: Path, part: str, folder: Path, findings: Findings) -> dict[int, Sample]:
    """Usable tracklets by their row in the list, from 0."""
    try:
        names = read_lines(root / "info" / f"{part}_name.txt", blank=True)
        rows = read_lines(root / "info" / f"track_{part}_info.txt", blank=True)
    except DataError as error:
        findings.problem(str(error))
        return {}
    found: dict[int, Sample] = {}
    bad_rows: list[str] = []
    bad_names: list[str] = []
    mixed = 0
    for row, line in enumerate(rows):
        numbers = [numbered(word) for word in line.split()]
        values = [number for number in numbers if number is not None]
        if len(values) != 5 or len(numbers) != 5 or not _sane(*values, names=len(names)):
            bad_rows.append(f"row {row + 1} {line[:40]!r}")
            continue
        light, first, last, person, camera = values
        matches = [_NAME.fullmatch(name) for name in names[first - 1 : last]]
        bad_names += [name[:40] for name, match in zip(names[first - 1 : last], matches, strict=True) if match is None]
        frames = [match for match in matches if match is not None]
        if not frames:
            continue
        mixed += any(int(match[1]) != person or int(match[2]) != light for match in frames)
        found[row] = Sample(tuple(_path(folder, match) for match in frames), person, camera, _LIGHTS[light][0])
    if bad_rows:
        findings.problem(
            f"{root / 'info' / f'track_{part}_info.txt'}: expected 'light first last person camera' with places in "
            f"{len(names)} names, {len(bad_rows)} rows are not: {first_few(bad_rows)}"
        )
    if bad_names:
        findings.problem(
            f"{root / 'info' / f'{part}_name.txt'}: expected names such as 0001M2D3T1F1.jpg, {len(bad_names)} are not: "
            f"{first_few(map(repr, bad_names))}"
        )
    if findings.collect and mixed:
        findings.note(f"{mixed} {part} tracklets hold frames of another person or light by their names")
    return found


def _sane(light: int, first: int, last: int, person: int, camera: int, *, names: int) -> bool:
    return light in _LIGHTS and 1 <= first <= last <= names and 0 < person <= MAX_NUMBER and camera <= MAX_NUMBER


def _path(folder: Path, match: re.Match[str]) -> Path:
    return folder / match[1] / _LIGHTS[int(match[2])][1] / f"D{match[3]}" / match[5]
