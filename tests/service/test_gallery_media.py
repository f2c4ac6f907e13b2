"""The media store: whole pictures or none, and no way out of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.sealing import Sealer
from service.gallery import MediaError, MediaStore
from service.gallery.media import make_thumbnail
from tests.support.tracklets import BEGIN, jpeg, tracklet_id

DIGEST = "0123456789abcdef" * 2


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MediaStore:
    return MediaStore((tmp_path / "media").as_uri() if request.param == "file" else f"memory://{tmp_path}")


def key(number: int = 1, digest: str = DIGEST, *, thumbnail: bool = False) -> str:
    return MediaStore.key("hall", BEGIN, tracklet_id(number), digest, thumbnail=thumbnail)


def test_what_is_written_is_read(store: MediaStore) -> None:
    assert not store.exists(key())
    store.write(key(), b"picture")
    store.write(key(), b"picture")
    assert store.exists(key())
    assert store.read(key()) == b"picture"
    assert key() == f"hall/2026-03-01/{tracklet_id(1)}/{DIGEST}.jpg"


def test_a_missing_picture_is_a_key_error(store: MediaStore) -> None:
    with pytest.raises(KeyError):
        store.read(key(2))


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "/etc/passwd",
        "../secret.jpg",
        f"hall/../../{tracklet_id(1)}/{DIGEST}.jpg",
        f"hall/2026-03-01/{tracklet_id(1)}/../{DIGEST}.jpg",
        f"hall\\2026-03-01\\{tracklet_id(1)}\\{DIGEST}.jpg",
        f"/hall/2026-03-01/{tracklet_id(1)}/{DIGEST}.jpg",
        f"hall/2026-03-01/{tracklet_id(1)}/{DIGEST}.jpg\0",
        f"hall/2026-03-01/{tracklet_id(1)}/{DIGEST}.jpg\n",
        f"hall/2026-03-01/{tracklet_id(1)}/{DIGEST}.png",
        f"hall/2026-03-01/{tracklet_id(1)}/%2e%2e.jpg",
        f"HALL/2026-03-01/{tracklet_id(1)}/{DIGEST}.jpg",
        "s3://other/bucket.jpg",
    ],
)
def test_a_foreign_key_is_refused_everywhere(store: MediaStore, bad: str) -> None:
    for call in (store.read, store.exists, store.delete_tracklet, lambda k: store.write(k, b"x")):
        with pytest.raises(ValueError, match="media key"):
            call(bad)


@pytest.mark.parametrize(
    ("camera", "digest"), [("../x", DIGEST), ("hall", "../../x"), ("hall", "AB" * 16), ("", DIGEST)]
)
def test_no_key_is_made_of_foreign_parts(camera: str, digest: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        MediaStore.key(camera, BEGIN, tracklet_id(1), digest)


def test_only_the_pictures_of_the_last_revision_are_kept(store: MediaStore) -> None:
    digests = [f"{n:032x}" for n in range(4)]
    for digest in digests:
        store.write(key(1, digest), b"x")
    store.write(key(2, digests[0]), b"x")
    assert store.keep_only(key(1, digests[0]), {key(1, digests[1]), key(1, digests[3])}) == 2
    assert [store.exists(key(1, d)) for d in digests] == [False, True, False, True]
    assert store.exists(key(2, digests[0]))
    assert store.delete_tracklet(key(1, digests[0])) == 2
    assert store.delete_tracklet(key(1, digests[0])) == 0


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("a file where the folder should be")
    store = MediaStore((tmp_path / "media").as_uri())
    with pytest.raises(MediaError):
        store.write(key(), b"picture")
    (tmp_path / "media").unlink()
    store.write(key(), b"picture")
    files = [path for path in (tmp_path / "media").rglob("*") if path.is_file()]
    assert len(files) == 1
    assert files[0].stat().st_mode & 0o077 == 0


def test_a_thumbnail_is_small_and_keeps_its_proportions() -> None:
    small = cv2.imdecode(np.frombuffer(make_thumbnail(jpeg(9, 800, 300)), np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (256, 96, 3)
    untouched = jpeg(9, 100, 40)
    assert make_thumbnail(untouched) == untouched


@pytest.mark.parametrize("data", [b"", b"no picture", jpeg(1)[:30]])
def test_what_is_no_picture_has_no_thumbnail(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected a JPEG"):
        make_thumbnail(data)


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_pictures_are_sealed_anew_in_every_kind_of_store(tmp_path: Path, kind: str) -> None:
    base = (tmp_path / "media").as_uri() if kind == "file" else f"memory://{tmp_path}/sealed"
    old, both = Sealer([b"1" * 32]), Sealer([b"2" * 32, b"1" * 32])
    for store, digest in ((MediaStore(base), "a" * 32), (MediaStore(base, old), "b" * 32)):
        store.write(key(1, digest), b"picture " + digest.encode())
    store = MediaStore(base, both)
    assert store.reseal_folder(key(1, "a" * 32)) == 2
    assert store.reseal_folder(key(1, "a" * 32)) == 0
    newest = MediaStore(base, Sealer([b"2" * 32]))
    assert [newest.read(key(1, digest * 32)) for digest in "ab"] == [b"picture " + d.encode() * 32 for d in "ab"]
    with pytest.raises(MediaError, match="encryption_key"):
        MediaStore(base).read(key(1, "a" * 32))
