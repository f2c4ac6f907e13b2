"""The rendered world's body model, read once for all tests of a run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from support.detector import weights_cache

from models.synthetic.body import BodyModel
from models.synthetic.source import body_archive


@cache
def archive() -> Path:
    """The digested body data in the user's cache; pip fetches the wheel the first time."""
    return body_archive(weights_cache())


@cache
def model() -> BodyModel:
    return BodyModel(archive())
