"""The loop: epochs of steps, states to resume from, validation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import structlog
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.data.loading import training_loader
from models.data.samples import ReidDataset
from models.files import replaced_whole
from models.registry import ReidNetwork
from models.training.building import build_network
from models.training.clock import Clock, in_words
from models.training.embed import Progress
from models.training.errors import TrainingError, TrainingStopped, written
from models.training.finishing import finish
from models.training.folder import RunFolder
from models.training.logs import RunLog
from models.training.optimiser import create_optimiser, set_rates
from models.training.pretrained import load_pretrained
from models.training.processes import Processes
from models.training.recipes.schema import Recipe
from models.training.state import Place, read_state, read_tensors, write_state, write_tensors
from models.training.stepping import Stepper, StepResult, WeighedObjective
from models.training.validation import check_validation_part, validate

__all__ = ["Trainer"]

log = structlog.get_logger(__name__)

_STOP_EVERY = 5  # steps between two agreements of several processes on whether to stop


class Trainer:
    """One run, in this process.

    Attributes:
        place: where it stands.
        log: where it is written down; None in all processes but the first.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: ReidDataset,
        folder: RunFolder,
        run: dict[str, str],
        processes: Processes,
        device: torch.device,
        workers: int,
        progress: Progress | None,
    ) -> None:
        self._recipe, self._dataset, self._folder, self._run = recipe, dataset, folder, run
        self._processes, self._device, self._workers = processes, device, workers
        self._progress: Progress = progress or (lambda _what, _share: None)
        self.place = Place()
        self.log: RunLog | None = None
        self._start = ""
        if recipe.batch.identities // processes.world_size < 2:
            raise TrainingError(
                f"batch.identities: expected at least two for each of {processes.world_size} processes, "
                f"got {recipe.batch.identities}"
            )
        if dataset.validation:
            check_validation_part(dataset.validation, dataset.protocol)
        objective = recipe.create_objective()
        torch.manual_seed(recipe.training.seed)
        self._network = build_network(recipe, dataset)
        if recipe.training.sync_batch_norm:
            if device.type != "cuda":
                raise TrainingError("training.sync_batch_norm: expected CUDA, which it is made for")
            self._network = nn.SyncBatchNorm.convert_sync_batchnorm(self._network)  # type: ignore[no-untyped-call]
        # Convolutions are faster so, on both kinds of machine.
        self._network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        own = cast(ReidNetwork, self._network).frames
        self._frames = recipe.batch.frames or own
        self._judged_frames = own if own > 1 else self._frames
        self._loader = training_loader(
            dataset.train,
            recipe.preprocessing(),
            frames=self._frames,
            identities_per_batch=recipe.batch.identities,
            samples_per_identity=recipe.batch.samples,
            augmentation=recipe.augment_options(),
            counterparts=objective.counterparts,
            seed=recipe.training.seed,
            workers=workers,
            rank=processes.rank,
            world_size=processes.world_size,
        )
        self._average: AveragedModel | None = None
        if recipe.training.ema_decay:
            moving = get_ema_multi_avg_fn(recipe.training.ema_decay)  # type: ignore[no-untyped-call]
            self._average = AveragedModel(self._network, multi_avg_fn=moving)
        self._optimiser = create_optimiser(self._network, recipe.optimiser)
        module: nn.Module = WeighedObjective(self._network, objective)
        if processes.world_size > 1:
            # A stage may leave parts of the network without a gradient.
            module = DistributedDataParallel(module, find_unused_parameters=True)
        self._stepper = Stepper(
            module,
            self._network,
            self._optimiser,
            clip_norm=recipe.optimiser.clip_norm,
            bf16=_is_bf16(recipe.training.precision, device),
            device=device,
        )

    def begin(self, pretrained: tuple[str, ...], cache_dir: Path | None) -> None:
        """From the state in the folder, else from pretrained weights."""
        if not self._folder.state.is_file():
            sources = pretrained or (self._recipe.network.pretrained,)
            self._start = load_pretrained(self._network, sources, cache_dir)
            if self._processes.first:
                with written(self._folder.root), replaced_whole(self._folder.recipe) as scratch:
                    scratch.write_text(self._recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
            return
        self.place, found = read_state(self._folder.state, self._run)
        self._start = found["start"]
        self._network.load_state_dict(found["network"])
        self._optimiser.load_state_dict(found["optimiser"])
        if self._average is not None:
            self._average.load_state_dict(found["average"])
        log.info("training.resumed", epoch=self.place.epoch, batch=self.place.batch, step=self.place.step)

    def train(self, stop: Callable[[], bool]) -> None:
        """All epochs that are left; `stop` is asked after each step."""
        clock = Clock(self.place.seconds)
        while self.place.epoch < self._recipe.training.epochs:
            self._epoch(stop, clock)
            self._close_epoch()
            if self._processes.first:
                self._validate()
                self.place.seconds = clock.seconds
                self._save(clock)
            self._processes.wait()
            clock.step_begins()

    def end(self) -> None:
        """Keep the best weights as a checkpoint with its card, and take the state away."""
        network = self._shown()
        if self.place.best_epoch >= 0:
            network.load_state_dict(read_tensors(self._folder.best)["network"])
        self._progress("writing the checkpoint", None)
        device = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else self._device.type
        finish(
            network,
            self._recipe,
            self._dataset,
            self._folder,
            self._run,
            self.place,
            start=self._start,
            frames=self._judged_frames,
            device=device,
            workers=self._workers,
        )
        for path in (self._folder.state, self._folder.best):
            path.unlink(missing_ok=True)

    def _shown(self) -> nn.Module:
        """A copy of what is judged and kept: the network, with its share of the average of its weights if there is one.

        Running statistics are the last step's, whose copy the average has.
        """
        shown = copy.deepcopy(self._network)
        if self._average is not None:
            share = self._recipe.training.ema_share
            with torch.no_grad():
                averaged = self._average.module.state_dict().values()
                for own, other in zip(shown.state_dict().values(), averaged, strict=True):
                    if own.is_floating_point():
                        own.lerp_(other, share)
        return shown

    def _epoch(self, stop: Callable[[], bool], clock: Clock) -> None:
        place, recipe = self.place, self._recipe
        weights = recipe.stage_at(place.epoch).weights
        for batch in self._loader.batches(place.epoch, place.batch):
            position = place.epoch + place.batch / len(self._loader)
            set_rates(self._optimiser, recipe.schedule, recipe.training.epochs, position)
            torch.manual_seed(self._seed_of_step())
            result = self._stepper.step(batch, weights)
            if result.taken and self._average is not None:
                self._average.update_parameters(self._network)
            place.batch, place.step = place.batch + 1, place.step + 1
            clock.step_done()
            place.seconds = clock.seconds
            self._account(result)
            if self.log is not None:
                self._report(self.log, result, clock)
            stopping = self._agree_to_stop(stop)
            if self._processes.first and (stopping or clock.save_is_due(recipe.training.checkpoint_every_s)):
                self._save(clock)
            if stopping:
                raise TrainingStopped(
                    f"stopped in epoch {place.epoch + 1} after {place.step} steps; the same command goes on from there"
                )

    def _seed_of_step(self) -> int:
        """Dropout of a step depends on its number, so a resumed run draws what an uninterrupted one would."""
        key = [self._recipe.training.seed, self.place.step, self._processes.rank]
        return int(np.random.SeedSequence(key).generate_state(1)[0])

    def _agree_to_stop(self, stop: Callable[[], bool]) -> bool:
        if self._processes.world_size > 1 and self.place.step % _STOP_EVERY:
            return False
        return self._processes.any(stop(), self._device)

    def _account(self, result: StepResult) -> None:
        place = self.place
        if result.taken:
            place.bad_in_a_row = 0
            place.counted += 1
            for name, value in result.figures.items():
                place.sums[name] = place.sums.get(name, 0.0) + value
            return
        place.bad_steps += 1
        place.bad_in_a_row += 1
        log.warning("training.step_left_out", step=place.step, reason="gradients are not finite")
        if place.bad_in_a_row >= self._recipe.training.max_bad_steps:
            raise TrainingError(
                f"gradients were not finite in {place.bad_in_a_row} steps in a row, the last was step {place.step}; "
                f"lower the rates, set optimiser.clip_norm or use training.precision=fp32"
            )

    def _report(self, run_log: RunLog, result: StepResult, clock: Clock) -> None:
        place, recipe = self.place, self._recipe
        images = 2 * recipe.batch.identities * recipe.batch.samples * self._frames / clock.seconds_a_step
        if result.taken and place.step % recipe.training.log_every == 0:
            rates = {"rate_trunk" if g["trunk"] else "rate_head": g["lr"] for g in self._optimiser.param_groups}
            run_log.write("step", place.step, place.epoch, {**result.figures, **rates, "images_per_s": images})
        if clock.progress_is_due():
            steps = recipe.training.epochs * len(self._loader)
            left = in_words((steps - place.step) * clock.seconds_a_step)
            self._progress(
                f"epoch {place.epoch + 1}/{recipe.training.epochs}, loss {result.figures['loss']:.3f}, "
                f"{images:.0f} images/s, {left} left",
                place.step / steps,
            )

    def _close_epoch(self) -> None:
        place = self.place
        if self.log is not None and place.counted:
            means = {name: total / place.counted for name, total in place.sums.items()}
            self.log.write("epoch", place.step, place.epoch, means)
        place.epoch, place.batch, place.sums, place.counted = place.epoch + 1, 0, {}, 0

    def _validate(self) -> None:
        place, training = self.place, self._recipe.training
        due = place.epoch % training.validate_every == 0 or place.epoch == training.epochs
        if not (self._dataset.validation and due):
            return
        shown = self._shown()
        found = validate(
            shown,
            self._dataset.validation,
            self._dataset.protocol,
            frames=self._judged_frames,
            workers=self._workers,
            progress=lambda _, share: self._progress(f"validating epoch {place.epoch}/{training.epochs}", share),
        )
        if self.log is not None:
            self.log.write("validation", place.step, place.epoch - 1, found.figures)
        if found.figure > place.best_figure:
            place.best_epoch, place.best_figure = place.epoch - 1, found.figure
            write_tensors(self._folder.best, {"network": shown.state_dict()})

    def _save(self, clock: Clock) -> None:
        if self.log is not None:
            self.place.records = self.log.records
        tensors: dict[str, Any] = {
            "start": self._start,
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        if self._average is not None:
            tensors["average"] = self._average.state_dict()
        write_state(self._folder.state, self.place, self._run, tensors)
        clock.saved()


def _is_bf16(precision: str, device: torch.device) -> bool:
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision == "bf16"
