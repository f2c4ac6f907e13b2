"""A recipe: everything that decides a training run, typed once and frozen after it was read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.data.augment import AugmentOptions
from models.preprocessing import Preprocessing
from models.training.objectives import Objective, objective_of

__all__ = [
    "BatchOptions",
    "DataOptions",
    "InputOptions",
    "NetworkOptions",
    "OptimiserOptions",
    "Recipe",
    "ScheduleOptions",
    "Stage",
    "TrainingOptions",
]

_Rate = Annotated[float, Field(ge=0)]
_Share = Annotated[float, Field(ge=0, lt=1)]
_Count = Annotated[int, Field(ge=1)]
_USUAL = Preprocessing()


def _check_known(table: str, values: dict[str, Any], options: type) -> None:
    known = [field.name for field in fields(options)]
    unknown = sorted(values.keys() - set(known))
    if unknown:
        raise ValueError(f"{table}: expected options {', '.join(known)}, got {', '.join(unknown)}")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataOptions(_Table):
    """``[data]``: which data set, and options of `models.data.open_dataset`."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class NetworkOptions(_Table):
    """``[network]``: which network, its options, and what its trunk starts from.

    Attributes:
        pretrained: a name that `models.training.pretrained` knows, or a path; empty to start from random weights.
    """

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    pretrained: str = ""


class InputOptions(_Table):
    """``[input]``: `models.preprocessing.Preprocessing`; means and deviations are ImageNet's unless given."""

    height_px: _Count
    width_px: _Count
    scale: float = _USUAL.scale
    mean: tuple[float, float, float] = _USUAL.mean
    std: tuple[float, float, float] = _USUAL.std
    channel_order: str = _USUAL.channel_order
    interpolation: str = _USUAL.interpolation


class BatchOptions(_Table):
    """``[batch]``: P identities with K samples in each light, P * K rows a half.

    Attributes:
        identities: P, at least two: every loss of pairs needs somebody else.
        samples: K.
        frames: of a clip; 0 for as many as the network is made for. Networks of single pictures average over
            the frames of longer clips; a network of clips may learn from single pictures (1) and is judged by clips.
    """

    identities: Annotated[int, Field(ge=2)]
    samples: _Count
    frames: Annotated[int, Field(ge=0, le=64)] = 0


class OptimiserOptions(_Table):
    """``[optimiser]``.

    Attributes:
        kind: ``sgd`` or ``adamw``.
        head_rate, trunk_rate: of the new layers, and of those that pretrained weights fill.
        frozen: modules whose parameters stay as they were loaded, by their names in the network.
        weight_decay: of matrices and kernels; norms and biases are left alone.
        momentum, nesterov: of ``sgd``.
        clip_norm: largest norm of all gradients together, 0 for no limit.
    """

    kind: Literal["sgd", "adamw"]
    head_rate: _Rate
    trunk_rate: _Rate
    frozen: tuple[str, ...] = ()
    weight_decay: _Rate = 5e-4
    momentum: _Share = 0.9
    nesterov: bool = True
    clip_norm: _Rate = 0.0


class ScheduleOptions(_Table):
    """``[schedule]``: what the rates are multiplied by.

    Attributes:
        kind: ``steps`` or ``cosine``.
        warm_up_epochs: of a linear rise from a hundredth.
        decay_epochs: after each of these epochs rates are multiplied by `decay` once more (``steps``).
        final_factor: reached at the end (``cosine``).
        frozen_trunk: share of the training during which the trunk's rate is 0; its warm-up follows.
    """

    kind: Literal["steps", "cosine"] = "steps"
    warm_up_epochs: _Rate = 0.0
    decay_epochs: tuple[_Rate, ...] = ()
    decay: Annotated[float, Field(gt=0, le=1)] = 0.1
    final_factor: Annotated[float, Field(ge=0, le=1)] = 0.0
    frozen_trunk: _Share = 0.0


class Stage(_Table):
    """One of ``[[stages]]``: from which epoch on (counted from 0), and what each term of the objective weighs."""

    from_epoch: Annotated[int, Field(ge=0)] = 0
    weights: dict[str, _Rate]


class TrainingOptions(_Table):
    """``[training]``.

    Attributes:
        epochs: passes over the training part.
        seed: of weights, batches, augmentation and dropout.
        precision: ``bf16`` computes under autocast, ``fp32`` does not, ``auto`` is bf16 on GPUs that have it.
        ema_decay: keep a moving average of the weights, which is then validated and saved; 0 for none.
        ema_share: of the moving average in what is validated and saved; the rest is the weights of the last step.
        sync_batch_norm: batch norm over all processes' rows (CUDA only).
        validate_every: epochs between validations; the last epoch is always validated.
        checkpoint_every_s: seconds between states that a killed run resumes from, besides one after each epoch.
        log_every: steps between records of the loss.
        max_bad_steps: give up after so many steps in a row whose gradients were not finite.
    """

    epochs: _Count
    seed: Annotated[int, Field(ge=0)] = 0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    ema_decay: _Share = 0.0
    ema_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    sync_batch_norm: bool = False
    validate_every: _Count = 1
    checkpoint_every_s: _Rate = 600.0
    log_every: _Count = 10
    max_bad_steps: _Count = 20


class Recipe(_Table):
    """All of the above.

    Attributes:
        name: of the file it was read from.
        summary: one line; what it is, for people.
        augmentation: the table of `models.data.augment.AugmentOptions`.
        objective: options of the network's objective in `models.training.objectives`.
        stages: ascending; the first begins with epoch 0. One that begins beyond the last epoch is not reached.
    """

    name: str
    summary: str = ""
    data: DataOptions
    network: NetworkOptions
    input: InputOptions
    batch: BatchOptions
    augmentation: dict[str, Any] = Field(default_factory=dict)
    optimiser: OptimiserOptions
    schedule: ScheduleOptions = ScheduleOptions()
    objective: dict[str, Any] = Field(default_factory=dict)
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    training: TrainingOptions

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        try:
            kind = objective_of(self.network.name)
        except KeyError as error:
            raise ValueError(f"network.name: {error.args[0]}") from error
        _check_known("objective", self.objective, kind)
        _check_known("augmentation", self.augmentation, AugmentOptions)
        objective = self.create_objective()
        self.augment_options()
        self.preprocessing()
        begins = [stage.from_epoch for stage in self.stages]
        if self.training.ema_share < 1 and not self.training.ema_decay:
            raise ValueError("training.ema_share: expected training.ema_decay above 0 with it, got 0")
        if begins != sorted(set(begins)) or begins[0] != 0:
            raise ValueError(f"stages: expected ascending from_epoch of which the first is 0, got {begins}")
        for number, stage in enumerate(self.stages):
            unknown = sorted(stage.weights.keys() - set(objective.terms))
            if unknown:
                raise ValueError(
                    f"stages.{number}.weights: expected terms of {', '.join(objective.terms)}, got {', '.join(unknown)}"
                )
            if not any(stage.weights.values()):
                raise ValueError(f"stages.{number}.weights: expected a term that weighs more than 0, got none")
        return self

    def create_objective(self) -> Objective:
        return objective_of(self.network.name)(**self.objective)

    def augment_options(self) -> AugmentOptions:
        return AugmentOptions(**self.augmentation)

    def preprocessing(self) -> Preprocessing:
        return Preprocessing(**self.input.model_dump())

    def stage_at(self, epoch: int) -> Stage:
        return next(stage for stage in reversed(self.stages) if stage.from_epoch <= epoch)

    @property
    def fingerprint(self) -> str:
        """Changes with everything that changes the result; a run resumes only under the same one."""
        values = self.model_dump(mode="json", exclude={"name", "summary"})
        for key in ("checkpoint_every_s", "log_every", "max_bad_steps"):
            del values["training"][key]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
