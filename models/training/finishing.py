"""The end of a run: a calibrated checkpoint, its card, and the result."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import structlog
from torch import nn

from models.calibration import Calibration
from models.checkpoint import Checkpoint, save_checkpoint
from models.data.samples import ReidDataset
from models.files import replaced_whole
from models.registry import ReidNetwork, create_model
from models.training.card import CardFacts, licences_of, model_card
from models.training.embed import embed_samples
from models.training.errors import TrainingError, written
from models.training.folder import RunFolder
from models.training.recipes.schema import Recipe
from models.training.state import Place
from models.training.validation import Promises, fit_promises, validate

__all__ = ["TrainingResult", "finish"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        checkpoint, card: the files.
        figures: of the validation part, fractions; empty without one.
        best_epoch: the epoch the weights are of, from 1.
        steps: all that were tried; bad_steps: of these, left out.
        seconds: spent training and validating.
    """

    checkpoint: Path
    card: Path
    figures: dict[str, float]
    best_epoch: int
    steps: int
    bad_steps: int
    seconds: float

    @classmethod
    def read(cls, folder: RunFolder, run: dict[str, str]) -> TrainingResult:
        """What `finish` wrote. TrainingError if it is damaged or of another run."""
        try:
            found: dict[str, Any] = json.loads(folder.result.read_text(encoding="utf-8"))
            of = found.pop("run")
            result = cls(folder.checkpoint, folder.card, **found)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise TrainingError(f"{folder.result}: damaged ({error}); start anew with --fresh") from error
        differs = [what for what, value in run.items() if of.get(what) != value]
        if differs:
            raise TrainingError(
                f"{folder.root}: holds a finished run with another {' and another '.join(differs)}; take another "
                f"folder, or start anew with --fresh"
            )
        return result


def finish(
    network: nn.Module,
    recipe: Recipe,
    dataset: ReidDataset,
    folder: RunFolder,
    run: dict[str, str],
    place: Place,
    *,
    start: str,
    frames: int,
    device: str,
    workers: int,
) -> None:
    """Write checkpoint, card and result, in this order: where there is a result, all is there.

    The classifier of the training identities is left out: nothing that is served needs it.
    """
    figures, promises = {}, Promises(Calibration(), None)
    if dataset.validation:
        found = validate(network, dataset.validation, dataset.protocol, frames=frames, workers=workers)
        crops, crop_features = dataset.validation, found.features
        if frames > 1:  # a tracker compares crops, not clips: those at both ends of a tracklet
            crops = tuple(
                replace(sample, pictures=(picture,))
                for sample in dataset.validation
                for picture in (sample.pictures[0], sample.pictures[-1])
            )
            crop_features = embed_samples(network, crops, frames=1, workers=workers)
        figures = found.figures
        promises = fit_promises(dataset.validation, found.features, crops, crop_features)
    epoch = 1 + (place.best_epoch if place.best_epoch >= 0 else place.epoch - 1)
    facts = CardFacts(
        start=start,
        device=device,
        figures=figures,
        epoch=epoch,
        steps=place.step,
        bad_steps=place.bad_steps,
        seconds=place.seconds,
        calibrated=tuple(
            f.name.replace("_", "-") for f in fields(Calibration) if getattr(promises.calibration, f.name) is not None
        ),
        association_distance=promises.association_distance,
    )
    card = model_card(recipe, dataset, facts)
    checkpoint = _checkpoint(network, recipe, promises, card, licences_of(recipe, start), frames)
    with written(folder.root):
        save_checkpoint(checkpoint, folder.checkpoint)
        _write(folder.card, card)
        result = TrainingResult(
            folder.checkpoint, folder.card, figures, epoch, place.step, place.bad_steps, place.seconds
        )
        plain = {name: value for name, value in asdict(result).items() if name not in ("checkpoint", "card")}
        _write(folder.result, json.dumps({"run": run, **plain}, indent=2) + "\n")
    log.info("training.finished", checkpoint=str(folder.checkpoint), epoch=epoch, **figures)


def _checkpoint(
    network: nn.Module, recipe: Recipe, promises: Promises, card: str, licences: tuple[str, ...], frames: int
) -> Checkpoint:
    trained = cast(ReidNetwork, network)
    options = {**trained.options, "identities": 0}
    served = create_model(trained.name, preprocessing=trained.preprocessing, **options).state_dict()
    state = network.state_dict()
    checkpoint = Checkpoint(
        architecture=trained.name,
        options=options,
        preprocessing=trained.preprocessing,
        state={name: state[name].detach().cpu() for name in served},
        label=recipe.summary or recipe.name,
        calibration=promises.calibration,
        model_card=card,
        licences=licences,
        trained_on={"name": recipe.data.name, "options": dict(recipe.data.options)},
    )
    if frames > 1:
        checkpoint = replace(checkpoint, tracklet_frames=frames)
    distance = promises.association_distance
    return checkpoint if distance is None else replace(checkpoint, association_distance=distance)


def _write(path: Path, text: str) -> None:
    with replaced_whole(path) as scratch:
        scratch.write_text(text, encoding="utf-8")
