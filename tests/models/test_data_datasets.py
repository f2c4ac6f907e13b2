"""Each data set's folder is read as its makers lay it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.data import DataError, ReidDataset, join_datasets, list_datasets, open_dataset, sysu_mm01
from models.data.findings import Findings
from models.data.pictures import read_picture
from models.data.samples import ArrayRow
from models.types import Modality
from tests.support import miniatures

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED
WRITERS: dict[str, Callable[[Path], Path]] = {
    "sysu-mm01": miniatures.write_sysu,
    "regdb": miniatures.write_regdb,
    "llcm": miniatures.write_llcm,
    "hitsz-vcm": miniatures.write_hitsz,
    "synthetic": miniatures.write_synthetic,
}


def people(samples: object) -> set[int]:
    return {sample.identity for sample in samples}  # type: ignore[attr-defined]


def lights(dataset: ReidDataset) -> Counter[Modality]:
    return Counter(sample.modality for sample in dataset.test)


def test_all_data_sets_have_a_miniature() -> None:
    assert set(WRITERS) == set(list_datasets())


@pytest.mark.parametrize("name", WRITERS)
def test_parts_share_nobody_and_all_pictures_can_be_read(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(name, WRITERS[name](tmp_path))
    train, validation, test = map(people, (dataset.train, dataset.validation, dataset.test))
    assert train
    assert validation
    assert test
    assert not train & validation
    assert not (train | validation) & test
    for part in (dataset.train, dataset.validation, dataset.test):
        assert {sample.modality for sample in part} == {VISIBLE, INFRARED}
        for sample in (part[0], part[-1]):
            picture = read_picture(sample.pictures[0])
            assert picture.shape == (64, 32, 3)
            grey = np.abs(picture[..., 0].astype(int) - picture[..., 2]).max() < 16
            assert grey == (sample.modality is INFRARED)


@pytest.mark.parametrize("name", WRITERS)
def test_joined_folders_take_nobody_for_somebody_else(name: str, tmp_path: Path) -> None:
    one, two, three = (open_dataset(name, WRITERS[name](tmp_path / folder)) for folder in "abc")
    joined = join_datasets([one, two, three])
    assert joined.train[: len(one.train)] == one.train
    assert (joined.validation, joined.test, joined.queries) == (one.validation, one.test, one.queries)
    assert len(joined.train) == 3 * len(one.train)
    assert len(people(joined.train)) == 3 * len(people(one.train))
    assert not people(joined.train) & people((*one.validation, *one.test))
    assert len({sample.camera for sample in joined.train}) == 3 * len({sample.camera for sample in one.train})
    assert {sample.pictures for sample in two.train} <= {sample.pictures for sample in joined.train}
    assert join_datasets([one]) == one


@pytest.mark.parametrize("name", WRITERS)
def test_without_validation_everybody_trains(name: str, tmp_path: Path) -> None:
    root = WRITERS[name](tmp_path)
    held_out, whole = open_dataset(name, root), open_dataset(name, root, validation="none")
    assert not whole.validation
    assert people(whole.train) == people(held_out.train) | people(held_out.validation)
    assert len(whole.train) == len(held_out.train) + len(held_out.validation)
    assert whole.test == held_out.test
    assert open_dataset(name, root) == held_out


def test_sysu_takes_the_official_validation_people(tmp_path: Path) -> None:
    dataset = open_dataset("sysu-mm01", miniatures.write_sysu(tmp_path, pictures=2))
    assert people(dataset.train) == {1, 2, 4, 5}
    assert people(dataset.validation) == {3, 6}
    assert people(dataset.test) == {7, 9, 10}
    assert {sample.camera for sample in dataset.test if sample.modality is INFRARED} == {3, 6}
    assert {sample.camera for sample in dataset.test if sample.modality is VISIBLE} == {1, 2, 4, 5}
    order = [(sample.identity, sample.camera, str(sample.pictures[0])) for sample in dataset.test]
    assert order == sorted(order), "seeded gallery draws depend on the order person, camera, name"


def test_sysu_reads_matlab_lists(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    root = miniatures.write_sysu(tmp_path, pictures=1)
    expected = open_dataset("sysu-mm01", root)
    for part, ids in (("train", [1, 2, 4, 5]), ("val", [3, 6]), ("test", [7, 9, 10])):
        (root / "exp" / f"{part}_id.txt").unlink()
        scipy_io.savemat(root / "exp" / f"{part}_id.mat", {"id": np.array([ids], np.uint16)})
    assert open_dataset("sysu-mm01", root) == expected


def test_released_matlab_lists_of_sysu_are_read(tmp_path: Path) -> None:
    released = Path(__file__).parents[2] / ".." / "shared" / "data" / "sysu-mm01"
    if not (released / "train_id.mat").is_file():
        pytest.skip("the released lists of SYSU-MM01 are not here")
    (tmp_path / "exp").symlink_to(released.resolve(), target_is_directory=True)
    findings = Findings(collect=True)
    train, test = (sysu_mm01.identities(tmp_path, part, findings) for part in ("train", "test"))
    assert (len(train), len(test)) == (296, 96)
    assert not set(train) & set(test)
    assert not findings.problems


def test_sysu_learns_from_agw_arrays_where_they_are(tmp_path: Path) -> None:
    root = miniatures.write_sysu_arrays(miniatures.write_sysu(tmp_path, pictures=1), pictures=2)
    dataset = open_dataset("sysu-mm01", root)
    assert people(dataset.train) == {1, 2, 4, 5}
    assert len(dataset.train) == 4 * 2 * 2
    assert all(isinstance(sample.pictures[0], ArrayRow) for sample in dataset.train)
    fifth = next(sample for sample in dataset.train if sample.identity == 5 and sample.modality is VISIBLE)
    drawn = miniatures.draw_person(5, VISIBLE, 0, (72, 36))
    assert np.array_equal(read_picture(fifth.pictures[0]), drawn), "RGB in the array, BGR here"
    assert all(isinstance(sample.pictures[0], Path) for sample in (*dataset.validation, *dataset.test))
    from_pictures = open_dataset("sysu-mm01", root, arrays=False)
    assert all(isinstance(sample.pictures[0], Path) for sample in from_pictures.train)


def test_regdb_has_ten_divisions(tmp_path: Path) -> None:
    root = miniatures.write_regdb(tmp_path, people=8, pictures=2)
    first, second = (open_dataset("regdb", root, trial=trial, validation="none") for trial in (1, 2))
    for dataset in (first, second):
        assert people(dataset.train) | people(dataset.test) == set(range(1, 9))
        assert lights(dataset) == {VISIBLE: 8, INFRARED: 8}
    assert people(first.train) != people(second.train)
    with pytest.raises(ValueError, match="trial: expected 1 to 10, got 11"):
        open_dataset("regdb", root, trial=11)


def test_llcm_takes_person_and_camera_from_the_names(tmp_path: Path) -> None:
    dataset = open_dataset("llcm", miniatures.write_llcm(tmp_path, train=(1, 3, 44), cameras=(2, 9)), validation="none")
    assert people(dataset.train) == {1, 3, 44}
    assert {sample.camera for sample in (*dataset.train, *dataset.test)} == {2, 9}
    for sample in (*dataset.train, *dataset.test):
        assert isinstance(sample.pictures[0], Path)
        assert sample.pictures[0].name.startswith(f"{sample.identity:04d}_c{sample.camera:02d}_")


@pytest.mark.parametrize("layout", ["mitml", "m3reid"])
def test_hitsz_drops_short_tracklets_as_the_field_does(layout: str, tmp_path: Path) -> None:
    root = miniatures.write_hitsz(tmp_path, layout=layout, lengths=(5, 14, 12))
    kept, whole = open_dataset("hitsz-vcm", root), open_dataset("hitsz-vcm", root, min_frames=0)
    assert {len(sample.pictures) for sample in (*kept.train, *kept.test)} == {12, 14}
    assert {len(sample.pictures) for sample in whole.test} == {5, 12, 14}
    assert len(whole.test) * 2 == len(kept.test) * 3
    for dataset in (kept, whole):
        assert dataset.queries is not None
        asking = set(dataset.queries)
        assert asking == {row for row, sample in enumerate(dataset.test) if sample.modality is INFRARED}


def test_hitsz_frames_are_in_the_order_of_time(tmp_path: Path) -> None:
    dataset = open_dataset("hitsz-vcm", miniatures.write_hitsz(tmp_path, lengths=(14,)), validation="none")
    frames = [int(picture.stem) for picture in dataset.train[0].pictures if isinstance(picture, Path)]
    assert frames == list(range(1, 15))
    assert dataset.train[0].pictures[0] == tmp_path / "0001" / "ir" / "D1" / "1.jpg"


def test_hitsz_takes_a_world_of_thousands_of_cameras(tmp_path: Path) -> None:
    root = miniatures.write_hitsz(tmp_path, lengths=(14,))
    (root / "0001/ir/D1").rename(root / "0001/ir/D1200")
    names = root / "info" / "train_name.txt"
    names.write_text(names.read_text().replace("0001M1D1T", "0001M1D1200T"))
    dataset = open_dataset("hitsz-vcm", root, validation="none")
    assert dataset.train[0].pictures[0] == root / "0001" / "ir" / "D1200" / "1.jpg"


def test_rendered_world_is_recognised_by_its_lists(tmp_path: Path) -> None:
    pictures = open_dataset("synthetic", miniatures.write_synthetic(tmp_path / "pictures"))
    clips = open_dataset("synthetic", miniatures.write_synthetic(tmp_path / "clips", clips=True))
    assert (pictures.protocol, clips.protocol) == ("sysu-mm01", "hitsz-vcm")
    assert {len(sample.pictures) for sample in clips.test} == {5, 12, 14}
    assert people(pictures.validation) == {3, 6}
    (tmp_path / "pictures" / "exp" / "val_id.txt").unlink()
    drawn = open_dataset("synthetic", tmp_path / "pictures", validation_fraction=0.5)
    assert len(people(drawn.validation)) == 2
    assert people(drawn.train) | people(drawn.validation) == {1, 2, 4, 5}


def test_unknown_names_and_options_are_told_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"market-1501.*regdb"):
        open_dataset("market-1501", tmp_path)
    with pytest.raises(ValueError, match=r"expected options trial.*got trail"):
        open_dataset("regdb", tmp_path, trail=1)
    with pytest.raises(ValueError, match="validation: expected held-out or none"):
        open_dataset("llcm", miniatures.write_llcm(tmp_path), validation="all")
    with pytest.raises(ValueError, match="validation_fraction"):
        open_dataset("llcm", tmp_path, validation_fraction=1.0)


@pytest.mark.parametrize("name", WRITERS)
def test_empty_folder_is_a_data_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder"):
        open_dataset(name, tmp_path)
    with pytest.raises(DataError, match="there is nothing"):
        open_dataset(name, tmp_path / "nowhere")
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(DataError, match="there is a file"):
        open_dataset(name, file)


@pytest.mark.parametrize(
    "line", ["../../etc/passwd 3", "/etc/passwd 3", "Visible\\..\\..\\x.bmp 1", "a//b.bmp 1", "C:/x.bmp 1"]
)
def test_lists_cannot_lead_out_of_the_folder(line: str, tmp_path: Path) -> None:
    root = miniatures.write_regdb(tmp_path, people=4, pictures=1, trials=[1])
    (root / "idx" / "train_visible_1.txt").write_text(line)
    with pytest.raises(DataError, match="paths inside the data set"):
        open_dataset("regdb", root)


def test_windows_line_ends_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    root = miniatures.write_hitsz(tmp_path)
    expected = open_dataset("hitsz-vcm", root)
    for file in (root / "info").iterdir():
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert open_dataset("hitsz-vcm", root) == expected


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("1,2,x", "'x'"),
        ("0,1", "'0'"),
        ("-1", "'-1'"),
        ("9" * 400, "'9999"),
        ("1.5", "'1.5'"),
        ("²", "'²'"),
        ("", "holds no numbers"),
        ("10000", "'10000'"),
    ],
)
def test_garbage_in_a_list_of_people_is_named(words: str, complaint: str, tmp_path: Path) -> None:
    root = miniatures.write_sysu(tmp_path, pictures=1)
    (root / "exp" / "train_id.txt").write_text(words, encoding="utf-8")
    with pytest.raises(DataError, match=r"train_id\.txt") as raised:
        open_dataset("sysu-mm01", root)
    assert complaint in str(raised.value)


def test_people_of_both_parts_are_refused(tmp_path: Path) -> None:
    root = miniatures.write_sysu(tmp_path, pictures=1)
    (root / "exp" / "test_id.txt").write_text("7,1")
    with pytest.raises(DataError, match="training and test: 1"):
        open_dataset("sysu-mm01", root)


@pytest.mark.parametrize(
    "row", ["3 1 12 1 1", "2 0 12 1 1", "2 5 4 1 1", "2 1 99999 1 1", "2 1 12 1", "2 1 12 1 1 1", "2 1 12 0 1", "x"]
)
def test_tracklets_outside_the_names_are_refused(row: str, tmp_path: Path) -> None:
    root = miniatures.write_hitsz(tmp_path, lengths=(12,))
    with (root / "info" / "track_train_info.txt").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(DataError, match="1 rows are not: row 17"):
        open_dataset("hitsz-vcm", root)


def test_arrays_of_another_kind_are_refused(tmp_path: Path) -> None:
    root = miniatures.write_sysu_arrays(miniatures.write_sysu(tmp_path, pictures=1))
    labels = root / "train_rgb_resized_label.npy"
    np.save(labels, np.load(labels) + 1)
    with pytest.raises(DataError, match="expected labels 0 to 5"):
        open_dataset("sysu-mm01", root)
    np.save(labels, np.zeros(3, int))
    with pytest.raises(DataError, match="expected 12 whole numbers"):
        open_dataset("sysu-mm01", root)
    labels.unlink()
    with pytest.raises(DataError, match="expected an array of labels"):
        open_dataset("sysu-mm01", root)
    assert open_dataset("sysu-mm01", root, arrays=False).train


def test_pictures_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(DataError, match=r"empty\.jpg: expected a picture, got 0 bytes"):
        read_picture(tmp_path / "empty.jpg")
    with pytest.raises(DataError, match=r"text\.jpg: expected a picture"):
        read_picture(tmp_path / "text.jpg")
    with pytest.raises(DataError, match="cannot be read"):
        read_picture(tmp_path / "absent.jpg")
    np.save(tmp_path / "grey.npy", np.zeros((2, 8, 4), np.uint8))
    with pytest.raises(DataError, match=r"expected uint8\[count, height, width, 3\]"):
        read_picture(ArrayRow(tmp_path / "grey.npy", 0))
    np.save(tmp_path / "rows.npy", np.zeros((2, 8, 4, 3), np.uint8))
    with pytest.raises(DataError, match="expected a row below 2, got 2"):
        read_picture(ArrayRow(tmp_path / "rows.npy", 2))
