"""``tapetum data check``: a verdict a person and a script can read."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from service.cli import app
from tests.support import miniatures


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["data", "check", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def test_good_folder_is_called_complete(tmp_path: Path) -> None:
    root = miniatures.write_regdb(tmp_path, people=4, pictures=1)
    code, shown, _ = run("regdb", str(root), "--all")
    assert code == 0
    assert "training identities" in shown
    assert "is complete; 8 of 8 listed pictures decoded" in shown


def test_problems_are_listed_and_set_the_exit_code(tmp_path: Path) -> None:
    root = miniatures.write_regdb(tmp_path, people=4, pictures=1)
    next((root / "Thermal").rglob("*.bmp")).unlink()
    code, shown, _ = run("regdb", str(root))
    assert code == 1
    assert "problem: 1 of 8 listed pictures are not there" in shown
    code, shown, _ = run("regdb", str(root), "--json")
    report = json.loads(shown)
    assert code == 1
    assert report["ok"] is False
    assert len(report["problems"]) == 1


def test_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    code, _, complaint = run("market-1501", str(tmp_path))
    assert code == 2
    assert "there are sysu-mm01, regdb, llcm, hitsz-vcm, synthetic" in complaint
