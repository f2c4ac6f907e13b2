"""What can go wrong in a run that a person can put right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["TrainingError", "TrainingStopped", "written"]


class TrainingError(RuntimeError):
    """A run cannot begin or go on; the message says why and what to do."""


class TrainingStopped(Exception):  # noqa: N818 - asked for, not an error
    """A run ended where it was asked to; its state is on the disk and the same command goes on with it."""


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Turn a full disk and its like into a `TrainingError`."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{folder}: cannot be written ({error.strerror or error}); make room, and the same command goes on from "
            f"the last whole state"
        ) from error
