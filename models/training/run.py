"""Training from a recipe and a data set to a checkpoint, in one process or several."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch

from models.data.samples import ReidDataset
from models.training.embed import Progress
from models.training.finishing import TrainingResult
from models.training.folder import RunFolder, data_fingerprint
from models.training.logs import RunLog
from models.training.processes import choose_device, joined_processes
from models.training.recipes.schema import Recipe
from models.training.trainer import Trainer

__all__ = ["train"]


def train(
    recipe: Recipe,
    dataset: ReidDataset,
    out_folder: Path,
    *,
    pretrained: tuple[str, ...] = (),
    resume: bool = True,
    workers: int = 0,
    device: str = "auto",
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> TrainingResult:
    """Train a network, or go on training it; the global random state is left as it was.

    What lies in the folder afterwards, `models.training.folder.RunFolder` says.

    Under torchrun each process takes its share of every batch's identities; triplets are mined within the share, as
    the field does, and gradients are averaged.

    Args:
        pretrained: what the trunk starts from; nothing: what the recipe says. See `models.training.pretrained`.
        resume: go on from the folder's state if there is one; False throws away what a run has left there.
        workers: processes that prepare batches.
        device: ``auto``, ``cpu`` or ``cuda``.
        cache_dir: for weights that are fetched.
        progress: called with what is going on and the share of it that is done.
        stop: asked after each step; when it says True the state is saved and the run ends.

    Raises:
        TrainingError: the run cannot begin or go on; the message says what to do.
        TrainingStopped: `stop` said so.
        DataError: the data set's training part is too small, or a picture cannot be read.
        ValueError, TypeError: options that the network does not take.
    """
    where = choose_device(device)
    folder = RunFolder(out_folder)
    run = {"recipe": recipe.fingerprint, "data set": data_fingerprint(dataset)}
    with ExitStack() as stack:
        processes = stack.enter_context(joined_processes(where))
        stack.enter_context(torch.random.fork_rng([where] if where.type == "cuda" else []))
        if processes.first:
            stack.enter_context(folder.alone())
            folder.sweep() if resume else folder.clear()
        processes.wait()
        if folder.result.is_file():
            return TrainingResult.read(folder, run)
        trainer = Trainer(recipe, dataset, folder, run, processes, where, workers, progress)
        trainer.begin(pretrained, cache_dir)
        if processes.first:
            trainer.log = stack.enter_context(RunLog(folder, trainer.place.records, trainer.place.step))
        trainer.train(stop or (lambda: False))
        if processes.first:
            trainer.end()
        processes.wait()
        return TrainingResult.read(folder, run)
