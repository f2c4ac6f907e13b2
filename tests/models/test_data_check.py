"""A check names everything that is wrong with a folder, and never fails itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from models.data import check_dataset, list_datasets
from tests.models.test_data_datasets import WRITERS
from tests.support import miniatures


@pytest.mark.parametrize("name", WRITERS)
def test_whole_miniature_has_no_problems(name: str, tmp_path: Path) -> None:
    report = check_dataset(name, WRITERS[name](tmp_path))
    assert report.ok, report.problems
    assert report.decoded == min(200, report.pictures)
    assert report.counts["training visible"] > 0
    if name != "synthetic":
        assert any("released" in note for note in report.notes), "a miniature is smaller than the released data"


@pytest.mark.parametrize("name", list_datasets())
@pytest.mark.parametrize("kind", ["empty", "file", "nothing", "null", "long"])
def test_folder_that_is_none_is_one_sentence(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    root = {
        "empty": tmp_path,
        "file": tmp_path / "file",
        "nothing": tmp_path / "nothing",
        "null": Path("a\0b"),
        "long": Path("x" * 5000),
    }[kind]
    report = check_dataset(name, root)
    assert len(report.problems) == 1
    assert "expected a folder" in report.problems[0]


def test_absent_empty_and_damaged_pictures_are_counted_and_named(tmp_path: Path) -> None:
    root = miniatures.write_llcm(tmp_path)
    pictures = sorted((root / "vis").rglob("*.jpg"))
    for picture in pictures[:5]:
        picture.unlink()
    pictures[5].write_bytes(b"")
    pictures[6].write_bytes(pictures[6].read_bytes()[:200])
    report = check_dataset("llcm", root, every_picture=True)
    absent, empty, damaged = report.problems
    assert absent.startswith(f"5 of {report.pictures} listed pictures are not there")
    assert pictures[0].name in absent
    assert "and 2 more" in absent
    assert empty.startswith("1 pictures are empty files")
    assert pictures[5].name in empty
    assert pictures[6].name in damaged
    assert report.decoded == report.pictures - 6


def test_people_in_no_list_are_noted(tmp_path: Path) -> None:
    root = miniatures.write_sysu(tmp_path, pictures=1)
    (root / "cam1" / "0099").mkdir()
    assert any(
        "1 people have folders but are in no list: 99" in note for note in check_dataset("sysu-mm01", root).notes
    )


def test_every_problem_is_found_in_one_go(tmp_path: Path) -> None:
    root = miniatures.write_sysu(tmp_path, pictures=1)
    (root / "exp" / "train_id.txt").write_text("1,two,44,7")
    (root / "exp" / "val_id.txt").unlink()
    for picture in (root / "cam4").rglob("*.jpg"):
        picture.unlink()
    problems = " | ".join(check_dataset("sysu-mm01", root).problems)
    for words in (
        "'two'",
        "val_id.txt: expected a text file, there is none",
        "training and test: 7",
        "pictures in any camera: 44",
    ):
        assert words in problems


def test_regdb_is_checked_for_all_ten_divisions(tmp_path: Path) -> None:
    root = miniatures.write_regdb(tmp_path, people=4, pictures=1)
    (root / "idx" / "test_thermal_9.txt").unlink()
    (problem,) = check_dataset("regdb", root).problems
    assert "test_thermal_9.txt" in problem


def test_frames_of_another_person_are_noted(tmp_path: Path) -> None:
    root = miniatures.write_hitsz(tmp_path)
    file = root / "info" / "track_test_info.txt"
    lines = file.read_text().splitlines()
    lines[0] = lines[0].replace(" 0501 ", " 0502 ")
    file.write_text("\n".join(lines))
    report = check_dataset("hitsz-vcm", root)
    assert report.ok
    assert "1 test tracklets hold frames of another person or light by their names" in report.notes


def test_queries_that_are_not_listed_are_a_problem(tmp_path: Path) -> None:
    root = miniatures.write_hitsz(tmp_path)
    (root / "info" / "query_IDX.txt").write_text("1 2 3 5000")
    (problem,) = check_dataset("hitsz-vcm", root).problems
    assert "names 1 tracklets that are not listed: 5000" in problem


@pytest.mark.parametrize("name", WRITERS)
def test_check_survives_damaged_lists(name: str, tmp_path: Path) -> None:
    """Lists cut, shuffled and filled with random bytes: a report, never an exception."""
    root = WRITERS[name](tmp_path)
    luck = random.Random(0)
    lists = sorted((*root.glob("exp/*"), *root.glob("idx/*"), *root.glob("info/*")))
    whole = {file: file.read_bytes() for file in lists}
    for turn in range(12):
        file = luck.choice(lists)
        content = bytearray(whole[file])
        if turn % 3 == 0:
            content = content[: luck.randrange(len(content))]
        elif turn % 3 == 1:
            for _ in range(8):
                content[luck.randrange(len(content))] = luck.randrange(256)
        else:
            content += luck.randbytes(40)
        file.write_bytes(content)
        assert check_dataset(name, root).to_dict()["name"] == name
        file.write_bytes(whole[file])
    lists[0].unlink()
    lists[0].mkdir()
    assert not check_dataset(name, root).ok
