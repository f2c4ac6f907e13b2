"""Another network than the tests' first one, and somebody who re-embeds with it until killed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from models.types import Modality
from pipeline.sealing import PLAIN
from pipeline.types import FloatArray, Image
from service.gallery import MediaStore
from service.gallery.model_in_use import GalleryModel
from service.redis_server import client_for
from service.reembedding import Runner
from tests.support.api_world import CALIBRATION, ColourEmbedder

DIM_2 = 24
MODEL_2 = "test-model-2"
TARGET = GalleryModel(MODEL_2, DIM_2, "colours, the second", CALIBRATION)


class SecondEmbedder(ColourEmbedder):
    """Other directions for the same colours, in another dimension.

    Args:
        before: called with the number of sightings before each batch.
    """

    model_hash = MODEL_2
    dim = DIM_2

    def __init__(self, before: Callable[[int], object] = lambda _: None) -> None:
        self._axes = np.random.default_rng(8).normal(size=(4, DIM_2)).astype(np.float32)
        self._before = before
        self.sightings = 0

    def embed_clips(self, clips: Sequence[Sequence[Image]], modalities: Sequence[Modality]) -> FloatArray:
        self._before(len(clips))
        self.sightings += len(clips)
        return super().embed_clips(clips, modalities)


if __name__ == "__main__":
    url, media = sys.argv[1:]

    def slowly(count: int) -> None:
        print(count, flush=True)
        time.sleep(0.3)

    Runner(client_for(url), MediaStore(media), PLAIN).run(SecondEmbedder(slowly), threading.Event())
