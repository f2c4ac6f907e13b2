"""Pictures and clips of tracklets in any fsspec file system: a folder, S3 and others. Redis never holds pictures.

One is named by its content, ``camera/date/tracklet/digest.jpg``, or ``.mp4`` for clips: the record of an earlier
revision keeps showing its own pictures until the next is written, and writing one twice changes nothing. Beside them
lie the pictures of floor plans, each under a name that no other ever had.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import cv2
import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem
from ulid import ULID

from pipeline.footage import Clip, Footage
from pipeline.sealing import HEAD_BYTES, PLAIN, Sealer, SealError
from pipeline.types import Sighting
from service.gallery.records import CAMERA_ID, TRACKLET_ID, TrackletRecord

__all__ = ["MEDIA_KEY", "THUMBNAIL_HEIGHT_PX", "MediaError", "MediaStore", "PictureSealError", "make_thumbnail"]

THUMBNAIL_HEIGHT_PX = 256
_NO_DIGEST = "0" * 32
_DIGEST = re.compile(r"[0-9a-f]{32}")
_PLANS = "_plans"  # no camera is called so
MEDIA_KEY = re.compile(
    rf"(?:{CAMERA_ID.pattern}/\d{{4}}-\d{{2}}-\d{{2}}/{TRACKLET_ID.pattern}/[0-9a-f]{{32}}(?:(?:\.thumb)?\.jpg|\.mp4)"
    rf"|{_PLANS}/[0-9a-f]{{32}}/[0-9a-f]{{32}}\.webp)"
)


class MediaError(RuntimeError):
    """The media store cannot serve; try again later."""


class PictureSealError(MediaError):
    """A picture is encrypted and cannot be opened here."""


class MediaStore:
    """Pictures by key. Keys are checked here, so that nothing outside the store can be named.

    Args:
        base_url: fsspec URL, ``file:///…`` or ``s3://bucket/prefix``.
        sealer: what is written is sealed with.
        options: for the file system, as fsspec takes them.
    """

    def __init__(self, base_url: str, sealer: Sealer = PLAIN, *, options: dict[str, str] | None = None):
        self._sealer = sealer
        try:
            self._fs, self._base = fsspec.core.url_to_fs(base_url, **(options or {}))
        except (ImportError, ValueError) as error:  # the package for this kind of store, or no such kind
            raise MediaError(f"media_url: {error}") from None
        self._local = isinstance(self._fs, LocalFileSystem)

    @staticmethod
    def key(
        camera_id: str,
        started_at: datetime,
        tracklet_id: str,
        digest: str,
        *,
        thumbnail: bool = False,
        clip: bool = False,
    ) -> str:
        """Key of a picture or clip whose content has the given digest, 32 hexadecimal figures."""
        if not CAMERA_ID.fullmatch(camera_id) or not TRACKLET_ID.fullmatch(tracklet_id):
            raise ValueError(f"expected a camera's and a tracklet's id, got {camera_id!r} and {tracklet_id!r}")
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"digest: expected 32 hexadecimal figures, got {digest[:40]!r}")
        suffix = ".mp4" if clip else ".thumb.jpg" if thumbnail else ".jpg"
        return f"{camera_id}/{started_at:%Y-%m-%d}/{tracklet_id}/{digest}{suffix}"

    @staticmethod
    def footage_keys(sighting: Sighting) -> dict[str, str]:
        """Keys of a sighting's scene and clip, where it has them, by their digests."""
        return {
            part.digest: MediaStore.key(
                sighting.camera_id, sighting.started_at, sighting.id, part.digest, clip=isinstance(part, Clip)
            )
            for part in sighting.footage.parts()
        }

    @staticmethod
    def all_keys(record: TrackletRecord) -> list[str]:
        """Keys of everything that a record shows."""
        thumbnail = [record.thumbnail] if record.thumbnail else []
        shown = [*(crop.key for crop in record.crops), *thumbnail, *MediaStore.footage_keys(record).values()]
        return list(dict.fromkeys(shown))

    @staticmethod
    def folder_key(camera_id: str, started_at: datetime, tracklet_id: str) -> str:
        """A key that names a tracklet's folder, for what is asked or done about all of its pictures."""
        return MediaStore.key(camera_id, started_at, tracklet_id, _NO_DIGEST)

    @staticmethod
    def possible_folders(tracklet_id: str, cameras: Iterable[str]) -> list[str]:
        """Where a tracklet's pictures would be without its record: under the day its id was made, of any camera."""
        day = ULID.from_str(tracklet_id).datetime
        return [MediaStore.folder_key(camera, day, tracklet_id) for camera in cameras]

    @staticmethod
    def plan_key(name: str) -> str:
        """A key for a new picture of the floor plan of this name."""
        return f"{_PLANS}/{hashlib.sha256(name.encode()).hexdigest()[:32]}/{secrets.token_hex(16)}.webp"

    @staticmethod
    def is_plan_key(key: str) -> bool:
        """Whether a key names the picture of a floor plan."""
        return key.startswith(f"{_PLANS}/") and MEDIA_KEY.fullmatch(key) is not None

    def write(self, key: str, data: bytes) -> None:
        """Write a picture as a whole or not at all; on a local disk it is safe against loss of power."""
        self.write_many({key: data})

    def write_many(self, pictures: Mapping[str, bytes]) -> None:
        """Write pictures by key. When it fails, some may be there; writing them again is harmless."""
        paths = {self._path(key): self._sealer.seal(data, _place(key)) for key, data in pictures.items()}
        with _media_at_work():
            if self._local:
                _write_files({Path(path): data for path, data in paths.items() if not _is_there(Path(path), data)})
                return
            for path, data in paths.items():
                try:
                    self._fs.pipe_file(path, data)
                except FileNotFoundError:  # a file system that has real folders
                    self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                    self._fs.pipe_file(path, data)

    def read(self, key: str) -> bytes:
        """Raises KeyError when there is no such picture, ValueError when the key is none of ours."""
        data = self.stored(key)
        with _media_at_work():
            return self._sealer.open(data, _place(key))

    def stored(self, key: str, end: int | None = None) -> bytes:
        """The bytes of a picture's file as they lie there, sealed or not, all or its first.

        Raises:
            KeyError: there is no such picture.
            ValueError: the key is none of ours.
        """
        path = self._path(key)
        with _media_at_work():
            try:
                return bytes(self._fs.cat_file(path, end=end))
            except FileNotFoundError:
                raise KeyError(key) from None

    def exists(self, key: str) -> bool:
        path = self._path(key)
        with _media_at_work():
            return bool(self._fs.exists(path))

    def delete(self, key: str) -> None:
        """Delete one picture, if it is there."""
        with _media_at_work(), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(key))

    def keep_only(self, folder_of: str, keys: Collection[str]) -> int:
        """Delete the pictures in the folder of one key that are not in `keys`. Returns how many."""
        folder = self._path(folder_of).rpartition("/")[0]
        kept = {key.rpartition("/")[2] for key in keys}
        with _media_at_work():
            try:
                found = self._fs.ls(folder, detail=False, refresh=True)
            except FileNotFoundError:
                return 0
            orphans = [path for path in found if str(path).rpartition("/")[2] not in kept]
            for path in orphans:
                with contextlib.suppress(FileNotFoundError):
                    self._fs.rm_file(path)
            if self._local and not kept:
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
            return len(orphans)

    def delete_tracklet(self, key: str) -> int:
        """Delete every picture of the tracklet that the key belongs to."""
        return self.keep_only(key, ())

    def holds_tracklet(self, key: str) -> bool:
        """Whether there is any picture of the tracklet that the key belongs to."""
        folder = self._path(key).rpartition("/")[0]
        with _media_at_work():
            try:
                return bool(self._fs.ls(folder, detail=False, refresh=True))
            except FileNotFoundError:
                return False

    def reseal_folder(self, folder_of: str) -> int:
        """Seal every picture in the folder of one key with the first key. Returns how many were not.

        Raises:
            PictureSealError: one of them cannot be opened. What was done stays done.
        """
        folder_key, done = folder_of.rpartition("/")[0], 0
        for name in self._names(self._path(folder_of).rpartition("/")[0]):
            key = f"{folder_key}/{name}"
            if not MEDIA_KEY.fullmatch(key):
                continue
            with contextlib.suppress(KeyError):  # deleted a moment ago
                if self.stored(key, HEAD_BYTES).startswith(self._sealer.prefix):
                    continue
                data = self.stored(key)
                with _media_at_work():
                    sealed = self._sealer.reseal(data, _place(key))
                    if sealed is None:
                        continue
                    if self._local:
                        _write_files({Path(self._path(key)): sealed})
                    else:
                        self._fs.pipe_file(self._path(key), sealed)
                done += 1
        return done

    def room_bytes(self) -> int | None:
        """What is free on the disk of a local store; None where nobody can say."""
        if not self._local:
            return None
        folder = Path(self._base)
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def tracklet_folders(self, batch: int, *, older_than: datetime) -> Iterator[dict[str, str]]:
        """Every tracklet that has pictures, `batch` at a time: a key that names its folder by the tracklet's id.

        Only those whose id was made before `older_than`.
        """
        found: dict[str, str] = {}
        for camera in self._names(self._base):
            for day in self._names(f"{self._base}/{camera}") if CAMERA_ID.fullmatch(camera) else ():
                for tracklet in self._names(f"{self._base}/{camera}/{day}"):
                    key = f"{camera}/{day}/{tracklet}/{_NO_DIGEST}.jpg"
                    if not MEDIA_KEY.fullmatch(key) or ULID.from_str(tracklet).datetime >= older_than:
                        continue
                    found[tracklet] = key
                    if len(found) == batch:
                        yield found
                        found = {}
        if found:
            yield found

    def plan_folders(self) -> list[str]:
        """Every floor plan that has pictures: a key that names its folder."""
        keys = (f"{_PLANS}/{plan}/{_NO_DIGEST}.webp" for plan in self._names(f"{self._base}/{_PLANS}"))
        return [key for key in keys if self.is_plan_key(key)]

    def _names(self, folder: str) -> list[str]:
        with _media_at_work():
            try:
                return sorted(str(path).rstrip("/").rpartition("/")[2] for path in self._fs.ls(folder, detail=False))
            except FileNotFoundError:
                return []

    def _path(self, key: str) -> str:
        if not MEDIA_KEY.fullmatch(key):
            raise ValueError(f"media key: expected that of a sighting's or a plan's picture, got {key[:120]!r}")
        return f"{self._base}/{key}"


def _place(key: str) -> str:
    """What a picture is sealed for."""
    return f"media/{key}"


def delete_footage(media: MediaStore, record: TrackletRecord) -> None:
    """Delete a sighting's scene and clip; of one that has ended also those that a step left behind half way."""
    for key in MediaStore.footage_keys(record).values():
        media.delete(key)
    if record.closed and record.thumbnail:
        media.keep_only(record.thumbnail, MediaStore.all_keys(replace(record, footage=Footage())))


def make_thumbnail(jpeg: bytes, height_px: int = THUMBNAIL_HEIGHT_PX) -> bytes:
    """A smaller JPEG of at most the given height. Raises ValueError when the picture cannot be decoded."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if image is None:
        raise ValueError(f"expected a JPEG picture, got {len(jpeg)} bytes that are none")
    height, width = image.shape[:2]
    if height <= height_px:
        return jpeg
    size = (max(1, round(width * height_px / height)), height_px)
    ok, data = cv2.imencode(
        ".jpg", cv2.resize(image, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 85]
    )
    if not ok:
        raise ValueError(f"thumbnail of {size} could not be encoded")
    return bytes(data)


class _media_at_work(contextlib.AbstractContextManager[None]):  # noqa: N801 - used like a function
    """Turn every trouble of the file system into MediaError."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, SealError):
            raise PictureSealError(f"media store: a picture is {error}") from None
        if isinstance(error, (KeyError, ValueError, MediaError)) or not isinstance(error, Exception):
            return
        raise MediaError(f"media store: {type(error).__name__}: {error}") from error


def _is_there(path: Path, data: bytes) -> bool:
    """Pictures are named by their content: of one name and size there is only one, under whichever key."""
    return path.exists() and path.stat().st_size == len(data)


def _write_files(files: Mapping[Path, bytes]) -> None:
    folders = set()
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        folders.add(path.parent)
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
