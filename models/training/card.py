"""The model card: what a checkpoint is made of, how good it is and on what that was measured, and its limits."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from models.data.samples import ReidDataset, Sample
from models.training.recipes.schema import Recipe
from models.types import Modality

__all__ = ["CardFacts", "licences_of", "model_card"]

_DATA_NOTES = {
    "sysu-mm01": "released by its authors for academic research under a signed agreement",
    "regdb": "released by its authors for academic research on request",
    "llcm": "released by its authors for academic research under a signed agreement",
    "hitsz-vcm": "released by its authors for academic research",
    "synthetic": "rendered by Tapetum; it shows nobody",
}
_DATA_UNKNOWN = "licence not known to Tapetum"


@dataclass(frozen=True)
class CardFacts:
    """What the card says beyond recipe and data set.

    Attributes:
        start: what the trunk started from.
        figures: of the validation part, fractions; empty without one.
        epoch: the epoch the weights are of, from 1.
        bad_steps: of `steps`, left out because gradients were not finite.
        calibrated: the pairs of modalities that have a curve.
        association_distance: None where it was not fitted.
    """

    start: str
    device: str
    figures: Mapping[str, float]
    epoch: int
    steps: int
    bad_steps: int
    seconds: float
    calibrated: tuple[str, ...]
    association_distance: float | None


def licences_of(recipe: Recipe, start: str) -> tuple[str, ...]:
    """What the weights derive from, one line each."""
    data = f"training data {recipe.data.name}: {_DATA_NOTES.get(recipe.data.name, _DATA_UNKNOWN)}"
    return (data, f"start: {start}")


def model_card(recipe: Recipe, dataset: ReidDataset, facts: CardFacts) -> str:
    """The card as Markdown."""
    validated = "\n".join(
        f"| {name.replace('_', ' ')} | {100 * value:.2f} % |" for name, value in facts.figures.items()
    )
    figures = (
        f"| on the validation part | |\n|---|---|\n{validated}"
        if validated
        else "No validation part was held out: nothing was measured, and the last epoch was kept."
    )
    data_note = _DATA_NOTES.get(dataset.name, _DATA_UNKNOWN)
    distance = facts.association_distance
    return f"""# {recipe.summary or recipe.name}

Network `{recipe.network.name}`, recipe `{recipe.name}` (fingerprint {recipe.fingerprint}), made by Tapetum {_version()}
({_commit()}) with torch {torch.__version__} on {facts.device}.

## Data
{dataset.name}: {data_note}. Whoever uses these weights is bound by that licence.

- training: {_counts(dataset.train)}
- validation: {_counts(dataset.validation)}

People of the validation part were not trained on, and nothing here has seen the test part.
{
        "Published figures of this data set are of networks that trained on both parts; this one's do not compare."
        if dataset.validation
        else "All training people were trained on, as for published figures; nobody was left to calibrate by."
    }

## Training
{facts.steps} steps in {facts.seconds / 3600:.2f} h, seed {recipe.training.seed}; started from {facts.start}; weights of
epoch {facts.epoch} of {recipe.training.epochs}{", chosen by the mean of both validation mAPs" if validated else ""}.
{f"{facts.bad_steps} steps were left out because gradients were not finite." if facts.bad_steps else ""}
The recipe stands in `recipe.json` beside this file.

## Figures
{figures}

Every validation sample of one light asked among all of the other light. These are not the figures of the test
protocol: for those, run `tapetum evaluate`.

Probabilities are calibrated for {", ".join(facts.calibrated) or "no pair of modalities"}, on the validation part.
{
        f"A tracker may join two crops of one camera up to a cosine distance of {distance:.3f}, where the errors on "
        "pairs of the validation part were fewest."
        if distance is not None
        else "The distance for trackers is the usual one, not fitted."
    }

## Limits
Measured on cameras and people like those it was trained on. Other cameras, another kind of infrared light, other
clothing and other poses lower the figures by an amount that is not known. A match is a hint for a person to check,
never a proof of identity.

## Licences
{chr(10).join(f"- {licence}" for licence in licences_of(recipe, facts.start))}
"""


def _counts(samples: tuple[Sample, ...]) -> str:
    if not samples:
        return "none"
    people = len({sample.identity for sample in samples})
    visible = sum(sample.modality is Modality.VISIBLE for sample in samples)
    kind = "tracklets" if any(len(sample.pictures) > 1 for sample in samples) else "pictures"
    return f"{people} people, {visible} visible and {len(samples) - visible} infrared {kind}"


def _version() -> str:
    try:
        return version("tapetum")
    except PackageNotFoundError:
        return "of unknown version"


def _commit() -> str:
    """The commit of the source this runs from, where it is a checkout."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--match=", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "not a checkout"
    return f"commit {done.stdout.strip()}" if done.returncode == 0 and done.stdout.strip() else "not a checkout"
