"""Training in seconds: a few drawn people, and shipped recipes made small enough for a test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from models.data.samples import ReidDataset, Sample
from models.training import Recipe, load_recipe
from models.types import Modality
from tests.support.miniatures import draw_person, write_picture

_SMALL = {
    "afen": ("network.options={backbone='mobilenetv2', mecs_reduction=16, fem_width=32}",),
    "cmft": (
        "network.options={backbone='mobilenetv2', frames=1, fusion_stages=[], final_width=32, fused_dim=32, "
        "stream_dim=32}",
    ),
    "fused_attention": ("network.options={size='tiny'}", "input.height_px=96", "input.width_px=48"),
    "tacafnet": ("network.options={backbone='mobilenetv2', parts=2, part_dim=32}",),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Pictures this small gain nothing from threads, which on a busy machine wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_recipe(network: str = "afen", *changes: str) -> Recipe:
    """The network's recipe with a light trunk, 64 x 32 px, four people of two pictures a light, AdamW, random start."""
    return load_recipe(
        f"{network}_regdb",
        (
            "data.options={}",
            "network.pretrained=''",
            "input.height_px=64",
            "input.width_px=32",
            "batch.identities=4",
            "batch.samples=2",
            "augmentation={flip=0.5, crop_px=2}",
            "optimiser={kind='adamw', head_rate=2e-3, trunk_rate=2e-3, clip_norm=5.0}",
            "schedule={kind='cosine', warm_up_epochs=1, final_factor=0.1}",
            "training={epochs=2, log_every=1, precision='fp32'}",
            *_SMALL[network],
            *changes,
        ),
    )


def draw_samples(
    root: Path, people: Sequence[int], *, takes: int = 2, frames: int = 1, size: tuple[int, int] = (64, 32)
) -> tuple[Sample, ...]:
    """Samples of drawn people, each take by a camera of its own."""
    samples = []
    for person in people:
        for camera, modality in enumerate(Modality):
            for take in range(takes):
                files = []
                for frame in range(frames):
                    files.append(root / f"{person}-{modality}-{take}-{frame}.png")
                    write_picture(files[-1], draw_person(person, modality, 10 * take + frame, size))
                samples.append(Sample(tuple(files), person, 2 * take + camera, modality))
    return tuple(samples)


def small_dataset(root: Path, *, validation: bool = True, frames: int = 1, takes: int = 4) -> ReidDataset:
    """Four people to train on; four others held out."""
    return ReidDataset(
        name="synthetic",
        protocol="regdb",
        train=draw_samples(root, (1, 2, 3, 4), takes=takes, frames=frames),
        validation=draw_samples(root, (5, 6, 7, 8), frames=frames) if validation else (),
        test=(),
    )
