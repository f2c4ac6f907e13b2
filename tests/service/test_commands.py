"""The command line: real commands on real files, and mistakes answered with one sentence."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from service.likelihood import likelihood
from tests.support.cameras import RtspServer, encode


def tapetum(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_help_names_the_commands_and_is_quick_to_import() -> None:
    shown = tapetum("--help").stdout
    running = "demo serve worker api cameras users tokens audit password search backup restore"
    for command in f"{running} track embed weights export bench train evaluate data synth".split():
        assert f" {command} " in shown
    heavy = "import sys, service.cli; print([m for m in ('torch', 'cv2', 'nicegui', 'faiss') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["track", "nowhere.mp4", "--out", "t.txt"], 2, "no video file at nowhere.mp4"),
        (["embed", "nowhere", "--modality", "visible", "--out", "v.npz"], 2, "no folder at nowhere"),
        (["embed", ".", "--modality", "purple", "--out", "v.npz"], 2, "purple"),
        (["weights", "yolov99"], 1, "known are yolov7"),
        (["search", "nowhere.jpg"], 2, "no photo at nowhere.jpg"),
        (["bench", "pipeline", "nowhere.mp4"], 2, "no video file"),
    ],
)
def test_mistake_is_one_sentence(
    arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    assert words in tapetum(*arguments, expect=code).stderr


def test_wrong_configuration_names_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPETUM_DETECTOR_SIZE_PX", "500")
    assert "detector_size_px" in tapetum("cameras", "list", expect=2).stderr


def test_track_writes_motchallenge_text_and_a_video(tmp_path: Path) -> None:
    clip = encode(tmp_path / "nobody.mp4", 12)
    out, annotated = tmp_path / "tracks.txt", tmp_path / "annotated.mp4"
    done = tapetum("track", str(clip), "--out", str(out), "--video", str(annotated), "--gsi", "--json")
    figures = json.loads(done.stdout)
    assert figures["frames"] == 12
    assert figures["track_ids"] == 0
    assert figures["detector"]["backend"] in {"openvino", "onnxruntime", "tensorrt"}
    assert out.read_text() == ""
    capture = cv2.VideoCapture(str(annotated))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 12
    capture.release()


def test_track_follows_a_stream_until_told_to_stop(
    rtsp_server: Callable[..., RtspServer], clip: Path, tmp_path: Path
) -> None:
    address = rtsp_server({"gate": clip}).urls["gate"]
    done = tapetum("track", address, "--out", str(tmp_path / "tracks.txt"), "--max-frames", "8", "--json")
    assert json.loads(done.stdout)["frames"] == 8


def test_track_of_a_broken_file_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video" * 100)
    assert "tapetum:" in tapetum("track", str(broken), "--out", str(tmp_path / "t.txt"), expect=2).stderr


def test_embed_writes_names_and_unit_vectors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), rng.integers(0, 255, (128, 64, 3), dtype=np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    out = tmp_path / "vectors.npz"
    done = tapetum("embed", str(tmp_path), "--modality", "infrared", "--out", str(out))
    assert "broken.jpg" in done.stderr
    with np.load(out) as found:
        assert found["names"].tolist() == ["a.png", "b.png"]
        assert found["vectors"].shape == (2, 256)
        assert np.linalg.norm(found["vectors"], axis=1) == pytest.approx(1.0, abs=1e-4)


def test_bench_search_says_how_near_a_search_is_to_reading_the_codes_once() -> None:
    figures = json.loads(tapetum("bench", "search", "--records", "1500", "--searches", "30", "--json").stdout)
    assert figures["recall_at_10"] >= 0.999
    assert figures["ratio"] == pytest.approx(figures["p50_ms"] / figures["floor_ms"])
    assert set(figures["clients"]) == {"1", "8", "32"}
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert figures["p99_writing_ms"] > 0
    assert figures["written_per_s"] > 0
    assert figures["memory_mb"] > 0


@pytest.mark.parametrize(
    ("probability", "told"), [(1.0, ">99%"), (0.991, ">99%"), (0.99, "99%"), (0.506, "51%"), (0.01, "1%"), (0.0, "<1%")]
)
def test_nobody_is_told_that_a_match_is_certain_or_impossible(probability: float, told: str) -> None:
    assert likelihood(probability) == told
