"""``tapetum train``: mistakes in one sentence, and a run that is killed in the middle of an epoch loses nothing."""

import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import Result
from typer.testing import CliRunner

from models.checkpoint import load_checkpoint
from service.cli import app
from tests.support.miniatures import write_sysu

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "network.options={backbone='mobilenetv2', mecs_stages=[], fem_width=0}",
    "input.height_px=64",
    "input.width_px=32",
    "batch.identities=4",
    "batch.samples=2",
    "optimiser={kind='adamw', head_rate=1e-3, trunk_rate=1e-3, clip_norm=5.0}",
    "training={epochs=2, log_every=1, checkpoint_every_s=0, precision='fp32'}",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sysu(tmp_path_factory.mktemp("sysu"), pictures=2)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "service.cli", "train", *map(str, arguments)]


def tapetum(*arguments: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=ROOT)
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def here() -> Iterator[Callable[..., Result]]:
    """The command in this process, which is quicker to start; what it says of logs is undone."""

    def run(*arguments: object, expect: int = 0) -> Result:
        done = CliRunner().invoke(app, ["train", *map(str, arguments)])
        assert done.exit_code == expect, done.output
        return done

    handlers = logging.getLogger().handlers[:]
    yield run
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


def small(data: Path, out: Path, *pretrained: str) -> list[object]:
    changes = [part for change in SMALL for part in ("--set", change)]
    starts = [part for source in pretrained or ("none",) for part in ("--pretrained", source)]
    return [
        "afen_sysu-mm01",
        "--data",
        data,
        "--out",
        out,
        *starts,
        "--device",
        "cpu",
        "--threads",
        1,
        *changes,
    ]


def steps(folder: Path) -> dict[int, float]:
    path = folder / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    records = [record for record in map(json.loads, lines) if record["kind"] == "step"]
    assert len({record["step"] for record in records}) == len(records)
    return {record["step"]: record["loss"] for record in records}


def stopped_in_mid_epoch(data: Path, out: Path, number: int) -> tuple[int, str]:
    """Start the command, send it a signal when it has taken two of its four steps an epoch, and say how it ended."""
    run = subprocess.Popen(command(*small(data, out)), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(steps(out)) < 2 and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert "Traceback" not in said
    return run.returncode, said


def test_run_killed_in_mid_epoch_ends_with_the_loss_curve_of_one_that_was_not(data: Path, tmp_path: Path) -> None:
    whole = tapetum(*small(data, tmp_path / "whole"))
    assert "rank1_visible_to_infrared" in whole.stdout
    assert stopped_in_mid_epoch(data, tmp_path / "killed", signal.SIGKILL)[0] == -signal.SIGKILL
    before = len(steps(tmp_path / "killed"))
    assert 2 <= before < 8
    assert (tmp_path / "killed" / "state.pt").exists()
    assert "training.resumed" in tapetum(*small(data, tmp_path / "killed")).stderr
    assert steps(tmp_path / "killed") == pytest.approx(steps(tmp_path / "whole"), rel=1e-4)
    assert len(steps(tmp_path / "whole")) == 8
    checkpoints = [load_checkpoint(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "killed")]
    assert checkpoints[0].label == checkpoints[1].label == "AFEN on SYSU-MM01"
    assert not list((tmp_path / "killed").glob(".state-*"))


def test_ctrl_c_saves_and_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    code, said = stopped_in_mid_epoch(data, tmp_path, signal.SIGINT)
    assert code == 130
    assert f"after {len(steps(tmp_path))} steps; the same command goes on from there" in said
    assert (tmp_path / "state.pt").exists()


def test_list_names_every_recipe(here: Callable[..., Result]) -> None:
    shown = here("--list").stdout
    for name in ("cmft_hitsz-vcm", "fused_attention_llcm", "afen_regdb", "tacafnet_sysu-mm01", "cmft_light_synthetic"):
        assert name in shown


def test_dry_run_counts_and_writes_nothing(here: Callable[..., Result], data: Path, tmp_path: Path) -> None:
    found = json.loads(here(*small(data, tmp_path / "out"), "--dry-run").stdout)
    assert found["training_people_in_both_lights"] == 4
    assert found["steps"] == 8
    assert not (tmp_path / "out").exists()


def test_repeated_data_learns_from_all_and_is_judged_by_the_first(
    here: Callable[..., Result], data: Path, tmp_path: Path
) -> None:
    more = write_sysu(tmp_path / "more", pictures=2)
    once, twice = (
        json.loads(here(*small(data, tmp_path / "out"), *others, "--dry-run").stdout)
        for others in ((), ("--data", more))
    )
    assert twice["training_people_in_both_lights"] == 2 * once["training_people_in_both_lights"]
    assert (twice["validation_people"], twice["test_people"]) == (once["validation_people"], once["test_people"])
    again = here(*small(data, tmp_path / "out"), "--data", data / "..", "--data", data, "--dry-run", expect=2)
    assert "expected different folders, got one twice" in again.output
    for number, folder in enumerate((data, more)):
        (folder / "world.json").write_text('{"seed": 3}' if number else '{"seed": 3, "identities": 9}')
    same = here(*small(data, tmp_path / "out"), "--data", more, "--dry-run", expect=2)
    assert "expected rendered worlds of different seeds, got two of one" in same.output
    (data / "world.json").unlink()
    gone = here(*small(data, tmp_path / "out"), "--data", tmp_path / "nowhere", "--dry-run", expect=2)
    assert "nowhere: expected a folder, there is nothing" in gone.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "expected a recipe; tapetum train --list shows"),
        (["afen_llcm"], 2, "expected the data set's folder: --data ROOT"),
        (["afen_market", "--data", "."], 2, "no recipe called 'afen_market'; there are"),
        (["afen_llcm", "--data", "nowhere"], 2, "nowhere: expected a folder, there is nothing"),
        (["afen_llcm", "--data", ".", "--set", "training.epochs=none"], 2, "training.epochs: "),
        (["afen_llcm", "--data", ".", "--set", "data.name=market"], 2, "no data set called 'market'; there are"),
    ],
)
def test_mistake_is_one_sentence(here: Callable[..., Result], arguments: list[str], code: int, words: str) -> None:
    assert words in here(*arguments, expect=code).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", "data.options={trial=1}"], 2, "expected options"),
        (["--set", "batch.identities=40"], 2, "expected at least 40 training identities"),
        (["--set", "network.options={headz=1}"], 1, "network.options: "),
        (["--device", "tpu"], 1, "device: expected auto, cpu or cuda"),
    ],
)
def test_run_that_cannot_begin_is_one_sentence(
    here: Callable[..., Result], arguments: list[str], code: int, words: str, data: Path, tmp_path: Path
) -> None:
    assert words in here(*small(data, tmp_path), *arguments, expect=code).stderr


@pytest.mark.parametrize(
    ("pretrained", "words"),
    [
        (["nowhere.pth"], "nowhere.pth: cannot be read"),
        (["resnet50"], "--pretrained FILE"),
        (["nowhere.safetensors", "elsewhere.safetensors"], "the mean of nowhere.safetensors, elsewhere.safetensors: "),
    ],
)
def test_weights_that_are_not_there_are_one_sentence(
    here: Callable[..., Result], pretrained: list[str], words: str, data: Path, tmp_path: Path
) -> None:
    assert words in here(*small(data, tmp_path, *pretrained), expect=1).stderr


def test_unwritable_folder_is_one_sentence(here: Callable[..., Result], data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "cannot be written" in here(*small(data, tmp_path / "file" / "out"), expect=1).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
