"""``tapetum evaluate``: a checkpoint and a data set's folder in, the field's table, JSON and a report out."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from models.calibration import Calibration, LogisticCalibration
from models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from models.data import open_dataset
from models.evaluation import TrialOptions, judge
from models.preprocessing import Preprocessing
from models.registry import create_model
from models.training.embed import embed_samples
from service.cli import app
from tests.support.miniatures import write_hitsz, write_llcm, write_regdb, write_synthetic, write_sysu


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small pictures gain nothing from more; and the command sets the number for the whole process."""
    before = torch.get_num_threads()
    monkeypatch.setenv("TAPETUM_THREADS", "1")
    yield
    torch.set_num_threads(before)


STREAM = {"embedding": "stream", "fusion": False, "stream_dim": 32}


def small(architecture: str, trained_on: dict[str, object] | None = None, **options: object) -> Checkpoint:
    """Without training."""
    torch.manual_seed(0)
    preprocessing = Preprocessing(height_px=64, width_px=32)
    network = create_model(architecture, preprocessing=preprocessing, backbone="mobilenetv2", **options)
    curve = LogisticCalibration(slope=6.0, intercept=-5.0)
    return Checkpoint(
        architecture=architecture,
        options=network.options,
        preprocessing=preprocessing,
        state=network.state_dict(),
        label=f"a small {architecture}",
        trained_on=trained_on or {},
        calibration=Calibration(visible_infrared=curve),
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.tapetum"
    save_checkpoint(small("cmft", **STREAM), path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("data")
    return {
        "sysu-mm01": write_sysu(root / "sysu", test=(7, 9, 10, 11)),
        "regdb": write_regdb(root / "regdb", people=8, trials=(1, 3)),
        "llcm": write_llcm(root / "llcm"),
        "hitsz-vcm": write_hitsz(root / "hitsz"),
        "synthetic": write_synthetic(root / "synthetic"),
    }


def tapetum(*arguments: object, expect: int = 0) -> Result:
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    assert done.exit_code == expect, done.output
    return done


@pytest.mark.parametrize("name", ["sysu-mm01", "regdb", "llcm", "hitsz-vcm", "synthetic"])
def test_every_data_set_is_judged_by_its_own_protocol(name: str, checkpoint: Path, data: dict[str, Path]) -> None:
    figures = json.loads(tapetum(checkpoint, name, data[name], "--json").stdout)
    dataset = open_dataset(name, data[name])
    vectors = embed_samples(load_checkpoint(checkpoint).build(), dataset.test)
    expected = judge(dataset.protocol, dataset.test, vectors, queries=dataset.queries)
    assert figures["protocol"] == dataset.protocol
    assert figures["mean"]["mAP"] == pytest.approx(expected.map, abs=1e-3)
    assert figures["mean"]["queries"] == expected.queries
    assert len(figures["trials"]) == (10 if dataset.protocol in ("sysu-mm01", "llcm") else 1)


@pytest.mark.parametrize(
    ("network", "name", "taken"), [("cmft", "hitsz-vcm", 4), ("afen", "hitsz-vcm", 6), ("afen", "sysu-mm01", 1)]
)
def test_tracklets_are_more_than_their_first_picture(
    network: str, name: str, taken: int, data: dict[str, Path], tmp_path: Path
) -> None:
    """A network of single pictures averages over a tracklet, as the field's figures for such networks do."""
    path = tmp_path / "tiny.tapetum"
    forms = {"cmft": {**STREAM, "frames": 4}, "afen": {"mecs_stages": [], "fem_width": 0}}
    save_checkpoint(small(network, **forms[network]), path)
    tapetum(path, name, data[name], "--report", tmp_path / "report")
    assert json.loads((tmp_path / "report" / "report.json").read_text())["frames"] == taken


def test_regdb_is_judged_on_the_split_the_checkpoint_was_trained_on(data: dict[str, Path], tmp_path: Path) -> None:
    """Every other split's test part holds people it knows."""
    path = tmp_path / "third.tapetum"
    save_checkpoint(small("cmft", {"name": "regdb", "options": {"trial": 3}}, **STREAM), path)
    tapetum(path, "regdb", data["regdb"], "--report", tmp_path / "report")
    assert json.loads((tmp_path / "report" / "report.json").read_text())["trial"] == 3
    assert "trained on trial 3" in tapetum(path, "regdb", data["regdb"], "--trial", 1, expect=2).stderr


def test_each_of_cmfts_vectors_can_be_judged(data: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "fused.tapetum"
    fusion = {"frames": 1, "fusion_stages": [], "final_width": 32, "fused_dim": 16, "stream_dim": 32}
    save_checkpoint(small("cmft", **fusion), path)
    widths = []
    for form in ("fused", "stream", "both"):
        kept = tmp_path / f"{form}.npz"
        tapetum(path, "llcm", data["llcm"], "--embedding", form, "--features", kept)
        with np.load(kept) as stored:
            widths.append(stored["features"].shape[1])
    assert widths == [16, 32, 48]
    assert (
        "expected fused, stream or both" in tapetum(path, "llcm", data["llcm"], "--embedding", "all", expect=1).stderr
    )
    save_checkpoint(small("afen", mecs_stages=[], fem_width=0), path)
    assert (
        "expected a checkpoint of cmft" in tapetum(path, "llcm", data["llcm"], "--embedding", "fused", expect=2).stderr
    )


def test_table_names_the_setting_and_every_trial(checkpoint: Path, data: dict[str, Path]) -> None:
    shown = tapetum(checkpoint, "sysu-mm01", data["sysu-mm01"], "--mode", "indoor", "--shots", 10).stdout.splitlines()
    assert shown[0] == "a small cmft on sysu-mm01, indoor search, 10-shot, agw draw"
    assert shown[1].split() == ["%", "R1", "R5", "R10", "R20", "mAP", "mINP", "queries", "skipped"]
    assert [line.split("  ")[0] for line in shown[2:]] == [*(f"trial {n}" for n in range(1, 11)), "mean"]
    trials = np.array([[float(x) for x in line.split()[2:8]] for line in shown[2:12]])
    assert [float(x) for x in shown[12].split()[1:7]] == pytest.approx(trials.mean(axis=0), abs=0.011)


def test_report_is_a_folder_of_pictures_and_figures(checkpoint: Path, data: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "report"
    done = tapetum(checkpoint, "regdb", data["regdb"], "--trial", 3, "--rerank", "--flip", "--report", folder)
    assert f"report written to {folder}" in done.stdout
    assert "regdb, infrared-to-visible, re-ranked, flip" in done.stdout
    written = json.loads((folder / "report.json").read_text())
    assert (written["trial"], written["flip"], written["rerank"]["k1"]) == (3, True, 20)
    assert written["checkpoint"]["model_hash"] == load_checkpoint(checkpoint).model_hash
    assert written["calibration_of"] == "the checkpoint"
    assert set(written["calibration"]) == {"visible-infrared"}
    for name in ("cmc.png", "queries-1.png", "reliability.png"):
        picture = cv2.imread(str(folder / name))
        assert min(picture.shape[:2]) > 300
        assert picture.std() > 15


def test_vectors_are_kept_and_taken_again_for_another_question(
    checkpoint: Path, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "vectors.npz"
    root = data["llcm"]
    first = json.loads(tapetum(checkpoint, "llcm", root, "--features", kept, "--json").stdout)
    with np.load(kept) as stored:
        assert stored["features"].shape == (len(open_dataset("llcm", root).test), 32)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("vectors were in the file")

    monkeypatch.setattr("models.training.embed.embed_samples", refuse)
    again = json.loads(tapetum(checkpoint, "llcm", root, "--features", kept, "--json").stdout)
    assert again["mean"] == first["mean"]
    other_way = ("--direction", "visible-to-infrared", "--as-coded", "--json")
    coded = json.loads(tapetum(checkpoint, "llcm", root, "--features", kept, *other_way).stdout)
    assert coded["options"]["as_coded"] is True
    assert (
        "another checkpoint, data set or option"
        in tapetum(checkpoint, "llcm", root, "--features", kept, "--flip", expect=2).stderr
    )
    assert (
        "another checkpoint, data set or option"
        in tapetum(checkpoint, "hitsz-vcm", data["hitsz-vcm"], "--features", kept, expect=2).stderr
    )
    kept.write_bytes(b"something else")
    assert (
        "expected vectors that were saved by an evaluation"
        in tapetum(checkpoint, "llcm", root, "--features", kept, expect=2).stderr
    )


def test_official_draw_takes_the_folders_own_list(checkpoint: Path, data: dict[str, Path], tmp_path: Path) -> None:
    from scipy.io import savemat

    root = data["sysu-mm01"]
    done = tapetum(checkpoint, "sysu-mm01", root, "--draw", "official", expect=2)
    assert f"{root / 'exp' / 'rand_perm_cam.mat'}: expected SYSU-MM01's rand_perm_cam.mat" in done.stderr
    rng = np.random.default_rng(0)
    cameras = np.empty((6, 1), object)
    for camera in range(6):
        cameras[camera, 0] = np.empty((12, 1), object)
        for person in range(12):
            cameras[camera, 0][person, 0] = np.stack([rng.permutation(3) + 1 for _ in range(10)])
    given = tmp_path / "orders.mat"
    savemat(given, {"rand_perm_cam": cameras})
    kept = tmp_path / "vectors.npz"
    official = ("--draw", "official", "--permutation", given, "--features", kept, "--json")
    figures = json.loads(tapetum(checkpoint, "sysu-mm01", root, *official).stdout)
    dataset = open_dataset("sysu-mm01", root)
    with np.load(kept) as stored:
        expected = judge(
            "sysu-mm01", dataset.test, stored["features"], TrialOptions(draw="official", permutation=given)
        )
    assert figures["mean"] == expected.to_dict()
    assert figures["options"]["draw"] == "official"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["market", "."], "no data set called 'market'; there are sysu-mm01, regdb"),
        (["regdb", "nowhere"], "nowhere: expected a folder"),
        (["regdb", "REGDB", "--mode", "indoor"], "mode: expected nothing for regdb"),
        (["regdb", "REGDB", "--direction", "up"], "direction: expected infrared-to-visible or visible-to-infrared"),
        (["regdb", "REGDB", "--as-coded"], "as_coded: expected with visible-to-infrared only"),
        (["regdb", "REGDB", "--report", "nowhere/report"], "nowhere to write report into"),
        (["regdb", "REGDB", "--features", "nowhere/f.npz"], "nowhere to write f.npz into"),
        (["regdb", "REGDB", "--device", "gpu"], "device 'gpu' cannot be used"),
        (["regdb", "REGDB", "--report", "a_file"], "a_file is a file, expected a folder"),
    ],
)
def test_mistake_is_one_sentence(
    arguments: list[str],
    words: str,
    checkpoint: Path,
    data: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").touch()
    given = [str(data["regdb"]) if argument == "REGDB" else argument for argument in arguments]
    done = tapetum(checkpoint, *given, expect=2)
    assert words in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("tapetum: ")]) == 1


def test_wrong_checkpoint_is_said_by_the_real_command(data: dict[str, Path], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.tapetum"
    wrong.write_text("no checkpoint")
    command = [sys.executable, "-m", "service.cli", "evaluate", str(wrong), "regdb", str(data["regdb"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == f"tapetum: {wrong}: not a checkpoint: no safetensors header, or the file is cut short"
