"""RegDB (Nguyen et al., Sensors 2017): 412 people, ten visible and ten thermal (long-wave) pictures each.

``idx/{train,test}_{visible,thermal}_{trial}.txt`` with lines ``Visible/168/male_front_v_04111_168.bmp 6``: ten random
halves, 206 people to train, 206 to test. The label is a count anew in every list, so the person is the folder's
number. Camera 1 is visible, 2 thermal.
"""

from __future__ import annotations

from pathlib import Path

from models.data.findings import Findings
from models.data.layout import Parts, disjoint
from models.data.lists import first_few, numbered, read_labelled, require_folder, subfolders
from models.data.samples import DataError, Sample
from models.data.splits import HELD_OUT, hold_out
from models.types import Modality

__all__ = ["OFFICIAL", "TRIALS", "read"]

OFFICIAL = {
    "training identities": 206,
    "training visible": 2060,
    "training infrared": 2060,
    "test identities": 206,
    "test visible": 2060,
    "test infrared": 2060,
}
TRIALS = range(1, 11)
_LIGHTS = {Modality.VISIBLE: ("visible", 1), Modality.INFRARED: ("thermal", 2)}


def read(
    root: Path,
    findings: Findings,
    *,
    trial: int = 1,
    validation: str = HELD_OUT,
    validation_fraction: float = 0.1,
) -> Parts:
    """Read one of the ten divisions.

    Args:
        trial: 1 to 10. A network is trained and tested on the same one; tested on another, it knows half the people.
        validation: ``held-out`` for `validation_fraction` of the training people, ``none`` to train on all.
    """
    if trial not in TRIALS:
        raise ValueError(f"trial: expected 1 to 10, got {trial}")
    require_folder(root, "idx", "lists of pictures")
    training, test = (_samples(root, part, trial, findings) for part in ("train", "test"))
    if findings.collect and trial == TRIALS[0]:
        listed = {sample.identity for sample in (*training, *test)}
        found = {numbered(folder.name) for name in ("Visible", "Thermal") for folder in subfolders(root / name)}
        extra = sorted(person for person in found - listed if person is not None)
        if extra:
            findings.note(f"{len(extra)} people have folders but are in no list: {first_few(extra)}")
    learned = disjoint(training, test, findings)
    held_out = hold_out((sample.identity for sample in learned), validation, validation_fraction)
    return Parts("regdb", learned, held_out, tuple(test))


def _samples(root: Path, part: str, trial: int, findings: Findings) -> list[Sample]:
    samples: list[Sample] = []
    for modality, (name, camera) in _LIGHTS.items():
        file = root / "idx" / f"{part}_{name}_{trial}.txt"
        wrong: list[str] = []
        try:
            listed = read_labelled(root, file, findings)
        except DataError as error:
            findings.problem(str(error))
            continue
        for path, _ in listed:
            person = numbered(path.parent.name)
            if person is None:
                wrong.append(str(path.relative_to(root)))
            else:
                samples.append(Sample((path,), person, camera, modality))
        if wrong:
            findings.problem(f"{file}: expected a numbered folder for each person, got {first_few(wrong)}")
    return samples
