"""Data sets by name."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.data import hitsz_vcm, llcm, regdb, synthetic, sysu_mm01
from models.data.findings import Findings
from models.data.layout import Layout
from models.data.samples import DataError, ReidDataset, Sample

__all__ = ["dataset_root", "join_datasets", "layout_of", "list_datasets", "open_dataset"]

_LAYOUTS = {
    "sysu-mm01": Layout(sysu_mm01.read, sysu_mm01.OFFICIAL),
    "regdb": Layout(regdb.read, regdb.OFFICIAL, tuple({"trial": trial} for trial in regdb.TRIALS)),
    "llcm": Layout(llcm.read, llcm.OFFICIAL),
    "hitsz-vcm": Layout(hitsz_vcm.read, hitsz_vcm.OFFICIAL),
    "synthetic": Layout(synthetic.read, {}),
}


def list_datasets() -> tuple[str, ...]:
    """The names that `open_dataset` knows."""
    return tuple(_LAYOUTS)


def open_dataset(name: str, root: Path | str, **options: Any) -> ReidDataset:
    """Read a data set's lists; pictures are read later, one by one.

    Args:
        name: one of `list_datasets`.
        root: its folder, laid out as its makers release it.
        options: of the data set's ``read``: ``validation`` (``held-out`` or ``none``) for all,
            ``validation_fraction`` where there is no official validation part, ``trial`` for regdb, ``arrays``
            for sysu-mm01, ``min_frames`` for tracklets.

    Raises:
        KeyError: an unknown name; the message lists the known ones.
        ValueError: an unknown option, or a value it cannot have.
        DataError: something is missing or wrong, and where; `models.data.check_dataset` names everything.
    """
    layout = layout_of(name)
    known = [word for word, kind in inspect.signature(layout.read).parameters.items() if kind.kind is kind.KEYWORD_ONLY]
    unknown = sorted(options.keys() - set(known))
    if unknown:
        raise ValueError(f"{name}: expected options {', '.join(known)}, got {', '.join(unknown)}")
    parts = layout.read(dataset_root(root), Findings(collect=False), **options)
    return ReidDataset(
        name=name,
        protocol=parts.protocol,
        train=tuple(sample for sample in parts.training if sample.identity not in parts.held_out),
        validation=tuple(sample for sample in parts.training if sample.identity in parts.held_out),
        test=parts.test,
        queries=parts.queries,
    )


def join_datasets(datasets: Sequence[ReidDataset]) -> ReidDataset:
    """Several data sets to train on as if they were one; the first one's parts for validation and test judge.

    The first one's people and cameras keep their numbers; those of each other one come after all before them. So nobody
    is taken for somebody else, but who is in two of them counts as two people.
    """
    first, *others = datasets
    train = list(first.train)
    everything = [*first.train, *first.validation, *first.test]
    for other in others:
        people, cameras = _beyond(everything)
        moved = [
            replace(sample, identity=sample.identity + people, camera=sample.camera + cameras) for sample in other.train
        ]
        train += moved
        everything += moved
    return replace(first, train=tuple(train))


def _beyond(samples: Sequence[Sample]) -> tuple[int, int]:
    """What to add to numbers from 0 on, of people and of cameras, so that none of the samples has them."""
    return (
        1 + max((sample.identity for sample in samples), default=-1),
        1 + max((sample.camera for sample in samples), default=-1),
    )


def layout_of(name: str) -> Layout:
    """KeyError lists the known names."""
    if name not in _LAYOUTS:
        raise KeyError(f"no data set called {name!r}; there are {', '.join(_LAYOUTS)}")
    return _LAYOUTS[name]


def dataset_root(root: Path | str) -> Path:
    """The folder, or DataError when it is none."""
    folder = Path(root)
    try:
        found, anything = folder.is_dir(), folder.exists()
    except (OSError, ValueError) as error:  # a name too long, a null character
        raise DataError(f"{str(root)[:80]!r}: expected a folder ({error})") from error
    if not found:
        raise DataError(f"{folder}: expected a folder, there is {'a file' if anything else 'nothing'}")
    return folder
