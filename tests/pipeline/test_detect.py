"""Letterboxing, batching and decoding of detections, with an engine that answers exactly what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from models.runtime.engine import EngineDescription, TensorSpec
from pipeline.detect import Detector, Letterbox


@dataclass
class BrightBoxEngine:
    """Answers with the box of the white pixels of each input, in input pixels."""

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    inputs = (TensorSpec("images", np.dtype(np.float32), (None, 3, None, None)),)
    outputs = (TensorSpec("output0", np.dtype(np.float32), (None, 3, 6)),)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        batch = feeds["images"]
        self.shapes.append(batch.shape)
        rows = np.zeros((len(batch), 3, 6), np.float32)
        for row, image in zip(rows, batch, strict=True):
            ys, xs = np.nonzero(image.min(axis=0) > 0.9)
            if len(xs):
                row[0] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, 0.9, 0
                row[1] = *row[0, :4], 0.3, 0  # under the threshold
                row[2] = *row[0, :4], 0.95, 2  # not a person
        return {"output0": rows}

    def warm_up(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.run({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})

    def describe(self) -> EngineDescription:
        return EngineDescription("test", "1", "cpu", "fp32", 1, "bright-box")


def picture(width_px: int, height_px: int, box: tuple[int, int, int, int] | None) -> np.ndarray:
    image = np.zeros((height_px, width_px, 3), np.uint8)
    if box:
        image[box[1] : box[3], box[0] : box[2]] = 255
    return image


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((768, 576), (640, 480)),
        ((1920, 1080), (640, 384)),
        ((1080, 1920), (384, 640)),
        ((640, 640), (640, 640)),
        ((100, 3), (640, 32)),
    ],
)
def test_input_is_rectangular_in_steps_of_the_stride(size: tuple[int, int], expected: tuple[int, int]) -> None:
    box = Letterbox.fit(*size, 640)
    assert (box.width_px, box.height_px) == expected
    assert box.apply(picture(*size, None)).shape == (3, expected[1], expected[0])


@pytest.mark.parametrize("size", [(768, 576), (1920, 1080), (1080, 1920), (320, 240), (333, 777)])
def test_boxes_come_back_in_picture_pixels(size: tuple[int, int]) -> None:
    width, height = size
    box = (width // 4, height // 3, width // 2, height * 2 // 3)
    (found,) = Detector(BrightBoxEngine()).detect([picture(width, height, box)])
    assert len(found) == 1
    assert found.scores[0] == pytest.approx(0.9)
    assert np.abs(found.boxes[0] - np.array(box)).max() <= 2 * max(size) / 640 + 1


def test_pictures_of_one_shape_share_a_run_and_keep_their_order() -> None:
    engine = BrightBoxEngine()
    images = [
        picture(640, 480, (10, 10, 100, 200)),
        picture(1280, 720, None),
        picture(640, 480, None),
        picture(640, 480, (300, 100, 400, 300)),
    ]
    detector = Detector(engine, max_batch=2)
    found = detector.detect(images)
    assert [len(d) for d in found] == [1, 0, 0, 1]
    assert found[3].boxes[0] == pytest.approx([300, 100, 400, 300], abs=2)
    warm_ups = [(1, 3, 480, 640), (1, 3, 384, 640)]  # once for each new shape
    assert sorted(engine.shapes) == sorted([*warm_ups, (2, 3, 480, 640), (1, 3, 480, 640), (1, 3, 384, 640)])
    engine.shapes.clear()
    detector.detect(images[:1])
    assert engine.shapes == [(1, 3, 480, 640)]


def test_square_input_is_the_same_for_all_pictures() -> None:
    engine = BrightBoxEngine()
    detector = Detector(engine, square=True)
    for size in ((640, 480), (300, 900)):
        (found,) = detector.detect([picture(*size, (60, 90, 160, 290))])
        assert found.boxes[0] == pytest.approx([60, 90, 160, 290], abs=3)
    assert set(engine.shapes) == {(1, 3, 640, 640)}


def test_no_pictures_no_run() -> None:
    engine = BrightBoxEngine()
    assert Detector(engine).detect([]) == []
    assert engine.shapes == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"confidence": 0.0}, "confidence"),
        ({"confidence": 1.5}, "confidence"),
        ({"longer_side_px": 500}, "multiple of 32"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Detector(BrightBoxEngine(), **wrong)  # type: ignore[arg-type]
