"""Which frames of a tracklet make a clip."""

from __future__ import annotations

import numpy as np

__all__ = ["choose_frames"]


def choose_frames(available: int, frames: int, generator: np.random.Generator | None = None) -> list[int]:
    """Places of `frames` frames in a tracklet of `available`, in the order of time.

    The field's rule (MITML, M3-ReID): `frames` equal strips of ``ceil(available / frames)``, the last frame
    repeated to fill them; a random frame of each strip in training, the first of each at test. A tracklet with
    fewer frames than asked for gives all of them, then its last one again.

    Args:
        generator: draws within the strips; None for the first frame of each.

    Raises:
        ValueError: less than one frame is available or asked for.
    """
    if available < 1 or frames < 1:
        raise ValueError(f"choose_frames: expected at least one frame of at least one, got {frames} of {available}")
    strip = -(-available // frames)
    places = np.arange(frames) * strip
    if generator is not None:
        places += generator.integers(strip, size=frames)
    return np.minimum(places, available - 1).tolist()  # type: ignore[no-any-return]
