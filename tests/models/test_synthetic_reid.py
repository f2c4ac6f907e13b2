"""Rendered data sets: laid out as the loaders expect, resumable, the same however many processes draw."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.synthetic import archive

from models.data import open_dataset
from models.data.samples import DataError
from models.synthetic.reid_plan import ReidOptions
from models.synthetic.reid_set import render_reid_set
from models.types import Modality

SMALL = ReidOptions(4, seed=2, visible_cameras=2, infrared_cameras=2, views=1, frames=2, validation_share=0.25)


def digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.jpg")}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world") / "hitsz"
    result = render_reid_set(out, SMALL, archive())
    assert result.drawn == result.crops == 4 * 2 * 2
    return out


def test_tracklets_open_with_the_loader(rendered: Path) -> None:
    data = open_dataset("synthetic", rendered)
    assert data.protocol == "hitsz-vcm"
    samples = [*data.train, *data.validation, *data.test]
    assert all(picture.is_file() for sample in samples for picture in sample.pictures)
    assert {len(sample.pictures) for sample in samples} == {2}
    assert {sample.modality for sample in data.test} == set(Modality)
    assert data.queries is not None
    assert [data.test[row].modality for row in data.queries] == [Modality.INFRARED]
    learned = {sample.identity for sample in (*data.train, *data.validation)}
    assert not learned & {sample.identity for sample in data.test}


def test_pictures_open_with_the_loader(tmp_path: Path) -> None:
    options = ReidOptions(3, "sysu-mm01", 2, 2, 2, views=2, frames=1, test_share=0.34, validation_share=0.34)
    render_reid_set(tmp_path / "sysu", options, archive())
    data = open_dataset("synthetic", tmp_path / "sysu")
    assert data.protocol == "sysu-mm01"
    for part in (data.train, data.validation, data.test):
        assert {sample.camera for sample in part} == {1, 2, 3, 6}
        assert len({sample.identity for sample in part}) == 1


def test_broken_off_run_is_completed_and_gives_the_same_pictures(rendered: Path) -> None:
    before = digests(rendered)
    (rendered / "records" / "0003.json").unlink()
    next((rendered / "0003").rglob("*.jpg")).unlink()
    told: list[tuple[int, int]] = []
    result = render_reid_set(rendered, SMALL, archive(), progress=lambda done, total, _ms: told.append((done, total)))
    assert (result.drawn, result.crops) == (4, 16)
    assert told == [(4, 4)]
    assert digests(rendered) == before


def test_complete_set_is_left_alone(rendered: Path) -> None:
    assert render_reid_set(rendered, SMALL, archive()).drawn == 0


def test_set_of_before_there_were_thermal_cameras_is_the_same_set(rendered: Path) -> None:
    note = rendered / "world.json"
    options = json.loads(note.read_text())
    assert options.pop("thermal_cameras") == 0
    whole = note.read_text()
    note.write_text(json.dumps(options))
    assert render_reid_set(rendered, SMALL, archive()).drawn == 0
    with pytest.raises(DataError, match="thermal_cameras 0, not 1"):
        render_reid_set(rendered, replace(SMALL, thermal_cameras=1), archive())
    for damaged in ("[]", "{", "3"):
        note.write_text(damaged)
        with pytest.raises(DataError, match=r"world\.json: damaged"):
            render_reid_set(rendered, SMALL, archive())
    note.write_text(whole)


def test_thermal_cameras_are_the_last_and_change_no_others(rendered: Path, tmp_path: Path) -> None:
    render_reid_set(tmp_path / "warm", replace(SMALL, thermal_cameras=1), archive())
    before, after = digests(rendered), digests(tmp_path / "warm")
    assert before.keys() == after.keys()
    changed = {Path(name).parent.name for name in before if before[name] != after[name]}
    assert changed == {"D4"}
    passages = [
        passage
        for record in (tmp_path / "warm" / "records").glob("*.json")
        for passage in json.loads(record.read_text())["passages"]
    ]
    assert {passage["filed_under"] for passage in passages if passage["thermal"]} == {4}
    with pytest.raises(ValueError, match=r"thermal_cameras: expected 0 to .*\(2\), got 3"):
        replace(SMALL, thermal_cameras=3)


def test_number_of_processes_changes_nothing(rendered: Path, tmp_path: Path) -> None:
    render_reid_set(tmp_path / "two", SMALL, archive(), jobs=2)
    assert digests(tmp_path / "two") == digests(rendered)


def test_records_tell_boxes_and_visibility(rendered: Path) -> None:
    record = json.loads((rendered / "records" / "0001.json").read_text())
    frames = [frame for passage in record["passages"] for frame in passage["frames"]]
    assert len(frames) == 4
    assert all(frame["box"][2] > frame["box"][0] and 0.5 <= frame["seen"] <= 1 for frame in frames)


def test_folder_of_something_else_is_not_touched(rendered: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match="not empty"):
        render_reid_set(tmp_path, SMALL, archive())
    other = ReidOptions(4, seed=3, visible_cameras=2, infrared_cameras=2, views=1, frames=2, validation_share=0.25)
    with pytest.raises(DataError, match="seed 2, not 3"):
        render_reid_set(rendered, other, archive())
