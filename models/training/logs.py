"""What a run writes down while it goes: ``metrics.jsonl``, and TensorBoard where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

from models.files import replaced_whole
from models.training.errors import written

__all__ = ["RunLog"]

log = structlog.get_logger(__name__)


class RunLog:
    """One JSON object a line: ``kind`` (train, epoch, validation), ``step``, ``epoch`` and figures.

    A resumed run repeats the steps after its last state, so their records are taken out first.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """Keep what was recorded up to `step` steps; everything is dropped for 0."""
        self.folder = folder
        with written(folder):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / "metrics.jsonl"
            kept = [line for line in _lines(path) if json.loads(line)["step"] <= step] if step else []
            with replaced_whole(path) as scratch:
                scratch.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            self._file = path.open("a", encoding="utf-8")
        self._board = _tensorboard(folder / "tensorboard", step)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, kind: str, step: int, epoch: int, figures: dict[str, float]) -> None:
        """TrainingError when the disk is full."""
        with written(self.folder):
            self._file.write(json.dumps({"kind": kind, "step": step, "epoch": epoch, **figures}) + "\n")
            self._file.flush()
            if self._board is not None:
                for name, value in figures.items():
                    self._board.add_scalar(f"{kind}/{name}", value, step)


def _lines(path: Path) -> list[str]:
    """Whole lines; a kill may have cut the last one."""
    if not path.is_file():
        return []
    *whole, _cut = path.read_text(encoding="utf-8").split("\n")
    return whole


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.warning("training.no_tensorboard", hint="pip install 'tapetum[train]' to watch runs in TensorBoard")
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)  # type: ignore[no-untyped-call]
