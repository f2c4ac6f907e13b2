"""The folder of a run: who may write there, what lies in it, and whether it fits."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from models.data.samples import ReidDataset
from models.training.errors import TrainingError, written

__all__ = ["RunFolder", "data_fingerprint"]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths in a run's folder.

    ``checkpoint``, ``card`` and ``result`` are there at its end, ``recipe``, ``metrics`` and ``board`` all along,
    ``state`` and ``best`` (weights of the best epoch so far) in between.
    """

    root: Path

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoint.safetensors"

    @property
    def card(self) -> Path:
        return self.root / "model_card.md"

    @property
    def result(self) -> Path:
        return self.root / "result.json"

    @property
    def recipe(self) -> Path:
        return self.root / "recipe.json"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def board(self) -> Path:
        return self.root / "tensorboard"

    @property
    def state(self) -> Path:
        return self.root / "state.pt"

    @property
    def best(self) -> Path:
        return self.root / "best.pt"

    def clear(self) -> None:
        """Throw away all that a run has left here, and nothing else."""
        with written(self.root):
            for path in (self.checkpoint, self.card, self.result, self.recipe, self.metrics, self.state, self.best):
                path.unlink(missing_ok=True)
            shutil.rmtree(self.board, ignore_errors=True)
        self.sweep()

    def sweep(self) -> None:
        """Take away half-written files of a run that was killed."""
        for name in (self.state, self.best, self.checkpoint):
            for path in self.root.glob(f".{name.stem}-*{name.suffix}"):
                path.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs out. TrainingError when there is one."""
        with written(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / ".lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                raise TrainingError(
                    f"{self.root}: another run is writing there; end it or take another folder"
                ) from None
        try:
            yield
        finally:
            lock.release()


def data_fingerprint(dataset: ReidDataset) -> str:
    """Changes with who is seen where, in which light and how often; not with where the folder lies."""
    parts = [
        [(s.identity, s.camera, str(s.modality), len(s.pictures)) for s in part]
        for part in (dataset.train, dataset.validation)
    ]
    return hashlib.sha256(json.dumps([dataset.name, *parts]).encode()).hexdigest()[:16]
