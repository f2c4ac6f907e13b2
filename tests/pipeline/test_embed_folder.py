"""Folders of pictures as researchers have them: formats, clips, broken files."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from models.types import Modality
from pipeline.embed_folder import embed_folder, read_picture


class ColourEmbedder:
    """Stands in for the network: a clip's vector is the direction of its mean colour."""

    def embed_images(self, crops: list[np.ndarray], modalities: list[Modality]) -> np.ndarray:
        return self.embed_clips([[crop] for crop in crops], modalities)

    def embed_clips(self, clips: list[list[np.ndarray]], modalities: list[Modality]) -> np.ndarray:
        assert all(modality is Modality.INFRARED for modality in modalities)
        means = np.array([np.mean([crop.mean(axis=(0, 1)) for crop in clip], axis=0) for clip in clips])
        if not clips:
            return np.zeros((0, 3), np.float32)
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def picture(path: Path, colour: tuple[int, int, int] = (10, 20, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((24, 12, 3), colour, np.uint8))


def test_names_are_sorted_and_go_with_their_vectors(tmp_path: Path) -> None:
    for name, colour in (("b.png", (0, 0, 200)), ("a.png", (200, 0, 0)), ("c/d.BMP", (0, 200, 0))):
        picture(tmp_path / name, colour)
    (tmp_path / "notes.txt").write_text("not a picture")
    progress: list[tuple[int, int]] = []
    result = embed_folder(tmp_path, Modality.INFRARED, ColourEmbedder(), progress=lambda *a: progress.append(a))
    assert result.names == ("a.png", "b.png", "c/d.BMP")
    np.testing.assert_allclose(result.vectors, np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]]), atol=0.02)
    assert result.unreadable == ()
    assert progress == [(3, 3)]


def test_sub_folders_are_clips(tmp_path: Path) -> None:
    for name, colour in (("p2/1.png", (0, 0, 90)), ("p1/a.png", (90, 0, 0)), ("p1/b.png", (0, 90, 0))):
        picture(tmp_path / name, colour)
    (tmp_path / "p1" / "broken.png").write_bytes(b"\x89PNG no")
    result = embed_folder(tmp_path, Modality.INFRARED, ColourEmbedder(), clips=True)
    assert result.names == ("p1", "p2")
    np.testing.assert_allclose(result.vectors[0], [0.5**0.5, 0.5**0.5, 0], atol=1e-5)
    assert result.unreadable == ("p1/broken.png",)


def test_broken_pictures_are_counted_and_the_others_embedded(tmp_path: Path) -> None:
    picture(tmp_path / "good.jpg")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:40])
    result = embed_folder(tmp_path, Modality.INFRARED, ColourEmbedder())
    assert result.names == ("good.jpg",)
    assert len(result.vectors) == 1
    assert result.unreadable == ("cut.jpg", "empty.jpg", "text.png")


def test_only_broken_pictures_give_no_vectors(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello")
    result = embed_folder(tmp_path, Modality.INFRARED, ColourEmbedder())
    assert result.names == ()
    assert len(result.vectors) == 0


def test_many_pictures_go_in_portions(tmp_path: Path) -> None:
    for index in range(70):
        picture(tmp_path / f"{index:03}.png", (index + 1, 0, 255 - index))
    result = embed_folder(tmp_path, Modality.INFRARED, ColourEmbedder())
    assert result.names == tuple(f"{index:03}.png" for index in range(70))
    ratios = result.vectors[:, 0] / result.vectors[:, 2]
    np.testing.assert_allclose(ratios, [(i + 1) / (255 - i) for i in range(70)], rtol=1e-4)


@pytest.mark.parametrize("content", [None, "file"])
def test_no_folder_and_no_pictures_are_said(tmp_path: Path, content: str | None) -> None:
    target = tmp_path / "x"
    if content:
        target.write_text(content)
    with pytest.raises(ValueError, match=r"expected a folder, got .*x"):
        embed_folder(target, Modality.VISIBLE, ColourEmbedder())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no pictures .*empty"):
        embed_folder(tmp_path / "empty", Modality.VISIBLE, ColourEmbedder())


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp"])
def test_formats_of_colour(tmp_path: Path, suffix: str) -> None:
    picture(tmp_path / f"a.{suffix}", (200, 100, 50))
    read = read_picture(tmp_path / f"a.{suffix}")
    assert read is not None
    assert read.shape == (24, 12, 3)
    assert np.abs(read.astype(int) - (200, 100, 50)).max() <= 6


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_grey_is_stretched(tmp_path: Path, suffix: str) -> None:
    thermal = (29000 + np.arange(24 * 12).reshape(24, 12) * 4).astype(np.uint16)  # 1 K in a range of 655 K
    assert cv2.imwrite(str(tmp_path / f"t.{suffix}"), thermal)
    read = read_picture(tmp_path / f"t.{suffix}")
    assert read is not None
    assert read.dtype == np.uint8
    assert read.shape == (24, 12, 3)
    assert read.min() == 0
    assert read.max() == 255
    assert (np.diff(read[:, :, 0].ravel().astype(int)) >= 0).all()


def test_floating_point_with_holes_and_flat_pictures_are_survived(tmp_path: Path) -> None:
    values = np.linspace(20, 40, 24 * 12, dtype=np.float32).reshape(24, 12)
    values[0, 0], values[1, 1] = np.nan, np.inf
    assert cv2.imwrite(str(tmp_path / "f.tiff"), values)
    assert cv2.imwrite(str(tmp_path / "flat.png"), np.full((8, 8), 30000, np.uint16))
    for name in ("f.tiff", "flat.png"):
        read = read_picture(tmp_path / name)
        assert read is not None
        assert read.dtype == np.uint8


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    upright = PillowImage.new("RGB", (40, 20), (255, 0, 0))
    exif = upright.getexif()
    exif[274] = 6  # turn right by 90 degrees
    upright.save(tmp_path / "turned.jpg", exif=exif)
    read = read_picture(tmp_path / "turned.jpg")
    assert read is not None
    assert read.shape == (40, 20, 3)
