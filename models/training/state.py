"""The state of a run on the disk: whole or not there, so that a killed run goes on exactly where it was.

Batches, augmentation and dropout depend on the seed and the place in the run alone, so the place is all there is to
keep besides weights and the optimiser's moments.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from models.files import replaced_whole
from models.training.errors import TrainingError, written

__all__ = ["Place", "read_state", "read_tensors", "write_state", "write_tensors"]

_FORMAT = 1


@dataclass(slots=True)
class Place:
    """Where a run stands, and what it has to remember of the way there.

    Attributes:
        epoch, batch: the next batch to train on.
        step: optimisation steps tried so far.
        bad_steps: of these, those left out because gradients were not finite; bad_in_a_row: the last ones.
        seconds: spent so far.
        sums: of every term over the epoch so far; counted: over so many steps.
        best_epoch, best_figure: of the validated epochs, -1 before the first.
        records: lines in the log so far.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    bad_steps: int = 0
    bad_in_a_row: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0
    best_epoch: int = -1
    best_figure: float = -1.0
    records: int = 0


def write_state(path: Path, place: Place, run: dict[str, str], tensors: dict[str, Any]) -> None:
    """Write the file in place of the last one.

    Args:
        run: what a resumed run must agree with.
        tensors: state dicts by name.

    Raises:
        TrainingError: the disk is full or cannot be written; the last state stays.
    """
    write_tensors(path, {"format": _FORMAT, "run": run, "place": asdict(place), **tensors})


def write_tensors(path: Path, values: dict[str, Any]) -> None:
    """Write tensors and plain values, whole and safe from a power cut. TrainingError when the disk is full."""
    with written(path.parent), replaced_whole(path) as scratch, scratch.open("wb") as file:
        try:
            torch.save(values, file)
        except RuntimeError as error:  # torch's writer wraps what the file said
            raise OSError(str(error).splitlines()[0]) from error
        file.flush()
        os.fsync(file.fileno())


def read_state(path: Path, run: dict[str, str]) -> tuple[Place, dict[str, Any]]:
    """Read what `write_state` wrote; no code in it is run.

    Raises:
        TrainingError: damaged, or of another run.
    """
    found = read_tensors(path)
    if found.get("format") != _FORMAT:
        raise TrainingError(f"{path}: no state of a training run of this version; start anew with --fresh")
    place = Place(**found["place"])
    for what, value in run.items():
        if found["run"].get(what) != value:
            raise TrainingError(
                f"{path}: is of a run with another {what}; give the same, another folder, or start anew with --fresh"
            )
    return place, found


def read_tensors(path: Path) -> dict[str, Any]:
    """Read what `write_tensors` wrote; no code in it is run. TrainingError when it is damaged."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        # What torch says of it runs over a page and advises to run the code that may be inside.
        raise TrainingError(f"{path}: no whole state of a training run; start anew with --fresh") from error
    if not isinstance(found, dict):
        raise TrainingError(f"{path}: no state of a training run; start anew with --fresh")
    return found
