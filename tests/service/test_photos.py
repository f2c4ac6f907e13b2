"""The hostile list for photos, and what is read from honest ones."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from support.api_world import COLOURS, ColourDetector, ColourEmbedder, person_picture, scene
from support.pictures import bomb, png_header, saved

from models.types import Modality
from pipeline.types import Image
from service.photos import analyse, decode_photo
from service.pictures import PictureError

MAX_PIXELS = 4_000_000


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a photo"),
        (b"hello", "not a photo"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "not a photo"),
        (b"GIF89a" + b"\0" * 100, "not a photo"),
        (b"%PDF-1.7\n", "not a photo"),
        (b"PK\x03\x04" + b"\0" * 200, "not a photo"),
        (png_header(30_000, 30_000), "million pixels"),
        (png_header(100_000, 100_000), "million pixels"),
        (png_header(600, 600), "damaged"),
        (bomb(12_000), "million pixels"),
        (saved(np.zeros((1, 1, 3), np.uint8), "PNG"), "cannot be recognised"),
        (saved(np.zeros((300, 8, 3), np.uint8), "PNG"), "cannot be recognised"),
        (saved(scene(["red"]), "JPEG")[:-2000], "damaged"),
        (saved(scene(["red"]), "JPEG")[:300], "damaged"),
        (saved(scene(["red"]), "PNG")[:400], "damaged"),
        (saved(scene(["red"]), "TIFF")[:60], "photo"),
        (saved(scene(["red"]), "WEBP")[:200], "photo"),
        (b"\xff\xd8\xff\xe1\xff\xff" + b"A" * 50, "photo"),
    ],
)
def test_what_is_no_usable_photo_is_refused_in_a_sentence(data: bytes, said: str) -> None:
    with pytest.raises(PictureError, match=said) as refused:
        decode_photo(data, max_pixels=MAX_PIXELS)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_formats(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    image = scene(["red", "green"])
    decoded = decode_photo(saved(image, kind, **options), max_pixels=MAX_PIXELS)
    assert decoded.shape == image.shape
    assert np.abs(decoded.astype(int) - image).mean() < 2


def test_a_polyglot_is_nothing_but_its_pixels() -> None:
    script = b"<script>alert(1)</script>" + b"PK\x05\x06" + b"\0" * 18
    image = decode_photo(saved(scene(["red"]), "JPEG") + script, max_pixels=MAX_PIXELS)
    found = analyse(image, ColourDetector(), ColourEmbedder(), modality=Modality.VISIBLE)
    assert len(found.persons) == 1
    assert b"script" not in found.preview_jpeg


@pytest.mark.parametrize(
    ("orientation", "turn"), [(3, cv2.ROTATE_180), (6, cv2.ROTATE_90_CLOCKWISE), (8, cv2.ROTATE_90_COUNTERCLOCKWISE)]
)
def test_exif_rotation_is_applied(orientation: int, turn: int) -> None:
    image = scene(["red"], width=400, height=300)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    decoded = decode_photo(saved(image, "JPEG", quality=95, exif=exif), max_pixels=MAX_PIXELS)
    assert np.abs(decoded.astype(int) - cv2.rotate(image, turn)).mean() < 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
def test_a_damaged_exif_block_is_no_reason_to_refuse() -> None:
    data = saved(scene(["red"]), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    assert decode_photo(data, max_pixels=MAX_PIXELS).shape == (360, 640, 3)


def test_the_first_frame_of_an_animation_counts() -> None:
    first, second = (Pillow.fromarray(scene([c])[:, :, ::-1]) for c in ("red", "blue"))
    for kind in ("WEBP", "PNG", "TIFF"):
        buffer = io.BytesIO()
        first.save(buffer, kind, save_all=True, append_images=[second])
        decoded = decode_photo(buffer.getvalue(), max_pixels=MAX_PIXELS)
        assert np.abs(decoded.astype(int) - scene(["red"])).mean() < 4


def test_cmyk_palette_transparency_and_grey() -> None:
    picture = Pillow.fromarray(scene(["red"])[:, :, ::-1])
    clear = picture.convert("RGBA")
    clear.putalpha(0)
    for source, kind in (
        (picture.convert("CMYK"), "JPEG"),
        (picture.convert("P"), "PNG"),
        (picture.convert("L"), "PNG"),
        (picture.convert("1"), "TIFF"),
        (clear, "PNG"),
    ):
        buffer = io.BytesIO()
        source.save(buffer, kind)
        assert decode_photo(buffer.getvalue(), max_pixels=MAX_PIXELS).shape == (360, 640, 3)
    assert np.ptp(decode_photo(buffer.getvalue(), max_pixels=MAX_PIXELS)) == 0


def test_sixteen_bit_infrared_is_stretched_over_what_it_uses() -> None:
    counts = np.full((200, 100), 7000, np.uint16)  # a thermal camera uses a sliver of the range
    counts[50:150, 30:70] = 7400
    counts[0, 0] = 65535  # a dead pixel
    buffer = io.BytesIO()
    Pillow.fromarray(counts).save(buffer, "TIFF")
    decoded = decode_photo(buffer.getvalue(), max_pixels=MAX_PIXELS)
    assert decoded[100, 50].tolist() == [255, 255, 255]
    assert decoded[10, 10].tolist() == [0, 0, 0]
    floating = counts.astype(np.float32)
    floating[3, 3:6] = (np.nan, np.inf, -np.inf)
    buffer = io.BytesIO()
    Pillow.fromarray(floating).save(buffer, "TIFF")
    assert decode_photo(buffer.getvalue(), max_pixels=MAX_PIXELS).shape == (200, 100, 3)


def test_a_large_photo_is_scaled_to_what_the_networks_see() -> None:
    image = cv2.resize(scene(["red"]), (3600, 1000))
    assert decode_photo(saved(image, "PNG"), max_pixels=MAX_PIXELS).shape[1] == 2560


def test_nobody_one_and_five_persons() -> None:
    def found_in(image: Image, *, whole: bool = False) -> list[tuple[bool, float]]:
        found = analyse(image, ColourDetector(), ColourEmbedder(), modality=Modality.VISIBLE, whole=whole)
        for person in found.persons:
            x1, y1, x2, y2 = person.box
            assert 0 <= x1 < x2 <= 1
            assert 0 <= y1 < y2 <= 1
            assert np.linalg.norm(person.vector) == pytest.approx(1, abs=1e-4)
        return [(p.whole_image, (p.box[2] - p.box[0]) * (p.box[3] - p.box[1])) for p in found.persons]

    assert found_in(scene([])) == []
    five = found_in(scene(["red", "green", "blue", "white", "red"]))
    assert len(five) == 5
    assert [area for _, area in five] == sorted((area for _, area in five), reverse=True)
    assert found_in(scene(["red", "green"]), whole=True) == [(True, 1.0)]


def test_a_crop_in_which_nobody_is_detected_is_offered_as_a_whole() -> None:
    crop = person_picture("red")[34:124, 14:50]  # clothes from edge to edge
    found = analyse(crop, ColourDetector(), ColourEmbedder(), modality=Modality.VISIBLE)
    assert [p.whole_image for p in found.persons] == [True]
    wide = np.full((100, 300, 3), COLOURS["red"], np.uint8)
    assert analyse(wide, ColourDetector(), ColourEmbedder(), modality=Modality.VISIBLE).persons == ()
