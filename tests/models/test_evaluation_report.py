"""A report's files: figures that were judged, pictures of those that were found, marks that need no colour."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.data import ReidDataset, open_dataset
from models.data.samples import DataError
from models.evaluation import RerankOptions, RetrievalResult, TrialOptions, judge_trials
from models.evaluation.calibration import check_calibration, fit_calibration
from models.evaluation.report import rank_examples, write_report
from models.evaluation.sheets import draw_sheet
from tests.support.miniatures import write_hitsz, write_sysu

COUNT = TrialOptions(count=3)


@pytest.fixture(scope="module")
def sysu(tmp_path_factory: pytest.TempPathFactory) -> ReidDataset:
    return open_dataset("sysu-mm01", write_sysu(tmp_path_factory.mktemp("sysu"), test=(7, 9, 10, 11), pictures=4))


def noisy_truth(dataset: ReidDataset, noise: float = 0.8) -> np.ndarray:
    """Vectors that mostly know who is who."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(1000, 12))
    return centres[[s.identity for s in dataset.test]] + noise * rng.normal(size=(len(dataset.test), 12))


def written(folder: Path, dataset: ReidDataset, features: np.ndarray, **options: object) -> dict:
    judged = judge_trials(dataset.protocol, dataset.test, features, COUNT)
    files = write_report(
        folder,
        title="a test",
        protocol=dataset.protocol,
        samples=dataset.test,
        features=features,
        judged=judged,
        about={"dataset": dataset.name},
        **options,
    )
    assert sorted(files) == sorted(folder.iterdir())
    return json.loads((folder / "report.json").read_text())


def test_report_holds_the_figures_and_pictures(sysu: ReidDataset, tmp_path: Path) -> None:
    features = noisy_truth(sysu)
    labels = (
        np.array([s.identity for s in sysu.test]),
        np.array([s.camera for s in sysu.test]),
        [s.modality for s in sysu.test],
    )
    calibration = fit_calibration(features, *labels, generator=np.random.default_rng(0))
    checks = check_calibration(calibration, features, *labels, generator=np.random.default_rng(0))
    report = written(tmp_path / "report", sysu, features, calibration=checks)
    judged = judge_trials(sysu.protocol, sysu.test, features, COUNT)
    mean = RetrievalResult.mean([one.result for one in judged])
    assert report["dataset"] == "sysu-mm01"
    assert report["rerank"] is None
    assert report["mean"] == {**mean.to_dict(), "cmc": mean.cmc.tolist()}
    assert [one["mAP"] for one in report["trials"]] == [one.result.map for one in judged]
    assert set(report["calibration"]) == {"visible-visible", "visible-infrared", "infrared-infrared"}
    with (tmp_path / "report" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["trial 1", "trial 2", "trial 3"]
    assert [float(row["R1"]) for row in rows] == pytest.approx([one.result.rank[1] for one in judged], abs=1e-6)
    for name in ("cmc.png", "queries-1.png", "queries-3.png", "reliability.png"):
        picture = cv2.imread(str(tmp_path / "report" / name))
        assert picture.shape[0] > 400
        assert picture.std() > 20


def test_earlier_reports_leave_nothing_behind(sysu: ReidDataset, tmp_path: Path) -> None:
    (tmp_path / "queries-9.png").write_bytes(b"old")
    (tmp_path / "reliability.png").write_bytes(b"old")
    written(tmp_path, sysu, noisy_truth(sysu))


def test_examples_go_from_the_worst_query_to_the_best_and_skip_what_is_ignored(sysu: ReidDataset) -> None:
    features = noisy_truth(sysu)
    judged = judge_trials(sysu.protocol, sysu.test, features, COUNT)[0]
    examples = rank_examples(sysu.protocol, sysu.test, features, judged, None, 8)
    assert len(examples) == 8
    precisions = [one.average_precision for one in examples]
    assert precisions == sorted(precisions)
    assert precisions[0] == pytest.approx(np.nanmin(judged.scores.average_precision))
    assert precisions[-1] == pytest.approx(np.nanmax(judged.scores.average_precision))
    for one in examples:
        assert list(one.cosines) == sorted(one.cosines, reverse=True)
        assert set(one.nearest) <= set(judged.trial.gallery_rows)
        if sysu.test[one.query].camera == 3:
            assert all(sysu.test[row].camera != 2 for row in one.nearest)


def test_examples_follow_the_re_ranked_order(sysu: ReidDataset) -> None:
    features, options = noisy_truth(sysu, noise=1.5), RerankOptions(k1=5, k2=2)
    judged = judge_trials(sysu.protocol, sysu.test, features, COUNT, rerank=options)[0]
    examples = rank_examples(sysu.protocol, sysu.test, features, judged, options, 40)
    assert any(list(one.cosines) != sorted(one.cosines, reverse=True) for one in examples)


def test_marks_differ_in_colour_and_in_form(sysu: ReidDataset, tmp_path: Path) -> None:
    features = noisy_truth(sysu)
    judged = judge_trials(sysu.protocol, sysu.test, features, COUNT)[0]
    (example,) = rank_examples(sysu.protocol, sysu.test, features, judged, None, 1)
    draw_sheet(tmp_path / "sheet.png", "one query", sysu.test, [example])
    picture = cv2.imread(str(tmp_path / "sheet.png")).astype(int)
    blue, green, red = picture[..., 0], picture[..., 1], picture[..., 2]
    matches = (green > red + 60) & (green > blue + 40)
    strangers = (red > green + 100) & (red > blue + 100)
    assert matches.sum() > 1000
    assert strangers.sum() > 1000
    # The matches' frame is closed, the strangers' is dashed: its lines have gaps.
    assert longest_run(matches) > 3 * longest_run(strangers)


def longest_run(mask: np.ndarray) -> int:
    """Longest vertical line of the mask, in pixels."""
    best, run = 0, np.zeros(mask.shape[1], int)
    for row in mask:
        run = np.where(row, run + 1, 0)
        best = max(best, int(run.max()))
    return best


def test_tracklets_are_shown_by_one_of_their_frames(tmp_path: Path) -> None:
    dataset = open_dataset("hitsz-vcm", write_hitsz(tmp_path / "data"))
    features = noisy_truth(dataset)
    judged = judge_trials("hitsz-vcm", dataset.test, features, queries=dataset.queries)
    examples = rank_examples("hitsz-vcm", dataset.test, features, judged[0], None, 2)
    draw_sheet(tmp_path / "sheet.png", "tracklets", dataset.test, examples)
    assert cv2.imread(str(tmp_path / "sheet.png")).std() > 20


def test_missing_picture_is_named(sysu: ReidDataset, tmp_path: Path) -> None:
    dataset = open_dataset("sysu-mm01", write_sysu(tmp_path / "data"))
    for file in (tmp_path / "data" / "cam3").rglob("*.jpg"):
        file.unlink()
    with pytest.raises(DataError, match=r"cam3/00\d\d/000\d.jpg: cannot be read"):
        written(tmp_path / "report", dataset, noisy_truth(dataset))
