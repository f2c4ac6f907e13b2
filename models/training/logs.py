"""What a run writes down while it goes: ``metrics.jsonl``, and TensorBoard where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

from models.files import replaced_whole
from models.training.errors import written
from models.training.folder import RunFolder

__all__ = ["RunLog"]

log = structlog.get_logger(__name__)


class RunLog:
    """One JSON object a line: ``kind`` (step, epoch, validation), ``step``, ``epoch`` and figures.

    A resumed run repeats what came after its last state, so those records are taken out first.

    Attributes:
        records: lines so far.
    """

    def __init__(self, folder: RunFolder, records: int, step: int) -> None:
        """Go on behind the first `records` lines, which were written when `step` steps were done."""
        self._root = folder.root
        with written(folder.root):
            path = folder.metrics
            kept = _lines(path)[:records]
            with replaced_whole(path) as scratch:
                scratch.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            self._file = path.open("a", encoding="utf-8")
        self.records = len(kept)
        self._board = _tensorboard(folder.board, step)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, kind: str, step: int, epoch: int, figures: dict[str, float]) -> None:
        """TrainingError when the disk is full."""
        with written(self._root):
            self._file.write(json.dumps({"kind": kind, "step": step, "epoch": epoch, **figures}) + "\n")
            self._file.flush()
            self.records += 1
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
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
