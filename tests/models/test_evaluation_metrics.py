"""Retrieval figures: equal to the field's released code, and to a plain loop over the definitions."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.evaluation import RetrievalResult, evaluate, evaluate_distances, list_protocols, protocols

GOLDEN = Path(__file__).parents[2] / "../shared/golden/retrieval_metrics.npz"
PROTOCOLS = ("sysu-mm01", "regdb", "llcm", "hitsz-vcm")
FIELDS = ("query_features", "gallery_features", "query_ids", "gallery_ids", "query_cameras", "gallery_cameras")
Case = dict[str, np.ndarray]


def ignored(protocol: str, query_id: int, gallery_id: int, query_camera: int, gallery_camera: int) -> bool:
    if protocol == "sysu-mm01":
        return query_camera == 3 and gallery_camera == 2
    if protocol == "regdb":
        return False
    return query_id == gallery_id and query_camera == gallery_camera


def by_loops(protocol: str, case: Case) -> dict[str, object]:
    """The definitions, one query and one gallery entry at a time."""
    query, gallery = case["query_features"], case["gallery_features"]
    places, precisions, penalties = [], [], []
    for q in range(len(query)):
        cosines = [
            float(query[q] @ g / (np.linalg.norm(query[q]) * np.linalg.norm(g))) if g.any() else 0.0 for g in gallery
        ]
        ranking = []
        for g in sorted(range(len(gallery)), key=lambda g: (-round(cosines[g], 10), g)):
            labels = (
                case["query_ids"][q],
                case["gallery_ids"][g],
                case["query_cameras"][q],
                case["gallery_cameras"][g],
            )
            if not ignored(protocol, *labels):
                ranking.append(int(case["gallery_ids"][g]))
        mine = int(case["query_ids"][q])
        if mine not in ranking:
            continue
        people = list(dict.fromkeys(ranking)) if protocol in ("sysu-mm01", "llcm") else ranking
        places.append(people.index(mine))
        found = [place for place, person in enumerate(ranking, 1) if person == mine]
        precisions.append(np.mean([number / place for number, place in enumerate(found, 1)]))
        penalties.append(len(found) / found[-1])
    return {
        "rank": {k: np.mean([place < k for place in places]) for k in (1, 5, 10, 20)},
        "map": np.mean(precisions),
        "minp": np.mean(penalties),
        "queries": len(places),
        "skipped": len(query) - len(places),
    }


def random_case(seed: int, queries: int = 25, gallery: int = 40, people: int = 9) -> Case:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, 6))
    query_ids, gallery_ids = rng.integers(0, people, queries), rng.integers(1, people + 2, gallery)
    return {
        "query_features": centres[query_ids] + rng.normal(size=(queries, 6)),
        "gallery_features": centres[gallery_ids % people] + rng.normal(size=(gallery, 6)),
        "query_ids": query_ids,
        "gallery_ids": gallery_ids,
        "query_cameras": rng.choice([3, 6], queries),
        "gallery_cameras": rng.choice([1, 2, 3, 6], gallery),
    }


def assert_equal(result: RetrievalResult, expected: dict[str, object], tolerance: float = 1e-12) -> None:
    assert result.rank == pytest.approx(expected["rank"], abs=tolerance)
    assert result.map == pytest.approx(expected["map"], abs=tolerance)
    assert result.minp == pytest.approx(expected["minp"], abs=tolerance)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_figures_are_those_of_the_released_code(protocol: str) -> None:
    if not GOLDEN.is_file():
        pytest.skip("the released code's figures are not at hand")
    name = protocol.replace("-", "_")
    with np.load(GOLDEN) as stored:
        expected = json.loads(str(stored["expected"]))[name]
        result = evaluate(protocol, *(stored[f"{name}/{field}"] for field in FIELDS))
    assert result.rank == pytest.approx({int(k): share for k, share in expected["rank"].items()}, abs=1e-6)
    assert result.map == pytest.approx(expected["mAP"], abs=1e-6)
    if expected["mINP"] is not None:
        assert result.minp == pytest.approx(expected["mINP"], abs=1e-6)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", range(6))
def test_figures_are_those_of_plain_loops(protocol: str, seed: int) -> None:
    case = random_case(seed)
    result, expected = evaluate(protocol, *(case[field] for field in FIELDS)), by_loops(protocol, case)
    assert_equal(result, expected)
    assert (result.queries, result.skipped) == (expected["queries"], expected["skipped"])


def test_protocols_judge_the_same_features_differently() -> None:
    case = random_case(3)
    assert list_protocols() == PROTOCOLS
    results = [evaluate(protocol, *(case[field] for field in FIELDS)) for protocol in PROTOCOLS]
    assert len({(one.rank[5], one.map) for one in results}) == 4
    # LLCM and HITSZ-VCM differ in nothing but what the CMC counts.
    assert results[2].map == results[3].map
    assert results[2].rank[1] == results[3].rank[1]
    assert results[2].rank[5] > results[3].rank[5]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_portions_of_queries_change_nothing(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_case(11)
    whole = evaluate(protocol, *(case[field] for field in FIELDS))
    monkeypatch.setattr(protocols, "_CELLS", 3 * 40)
    portions = evaluate(protocol, *(case[field] for field in FIELDS))
    assert portions.to_dict() == whole.to_dict()
    np.testing.assert_array_equal(portions.cmc, whole.cmc)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equal_vectors_keep_the_order_of_the_gallery(protocol: str) -> None:
    case = random_case(7, queries=30, gallery=50)
    rng = np.random.default_rng(0)
    case["gallery_features"] = case["gallery_features"][rng.integers(0, 5, 50)]  # ten copies of each of five
    assert_equal(evaluate(protocol, *(case[field] for field in FIELDS)), by_loops(protocol, case))
    case["gallery_features"] = np.ones_like(case["gallery_features"])  # a network that says the same of everyone
    assert_equal(evaluate(protocol, *(case[field] for field in FIELDS)), by_loops(protocol, case))


def test_curve_rises_to_one_and_holds_the_ranks() -> None:
    case = random_case(2)
    result = evaluate("sysu-mm01", *(case[field] for field in FIELDS))
    assert (np.diff(result.cmc) >= 0).all()
    assert result.cmc[-1] == pytest.approx(1)
    assert len(result.cmc) == len(np.unique(case["gallery_ids"]))
    assert result.rank[5] == result.cmc[4]
    assert result.rank[20] == result.cmc[-1]  # fewer people than twenty: everything is found


def test_camera_two_does_not_see_camera_three() -> None:
    """Validation asks visible queries too."""
    vectors = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    result = evaluate("sysu-mm01", vectors[:1], vectors, *map(np.array, ([1], [1, 2, 1], [2], [3, 6, 6])))
    assert result.rank[1] == 0.0


def test_camera_three_does_not_see_camera_two() -> None:
    features = np.eye(3)
    result = evaluate("sysu-mm01", features[[0, 0]], features, [7, 7], [7, 8, 7], [3, 6], [2, 1, 1])
    # Camera 6 finds its person at once; camera 3 has only the second picture, behind a stranger.
    assert result.rank[1] == 0.5
    assert result.map == pytest.approx((0.5 + (1 + 2 / 3) / 2) / 2)


def test_query_without_a_match_is_left_out_and_counted() -> None:
    features = np.eye(3)
    result = evaluate("regdb", features, features[:2], [1, 2, 3], [1, 2], [1, 1, 1], [2, 2])
    assert (result.queries, result.skipped, result.rank[1]) == (2, 1, 1.0)


def test_distances_are_judged_as_features_are() -> None:
    case = random_case(4)
    vectors = [case[name] / np.linalg.norm(case[name], axis=1, keepdims=True) for name in FIELDS[:2]]
    labels = [case[name] for name in FIELDS[2:]]
    by_distance = evaluate_distances("llcm", -(vectors[0] @ vectors[1].T).astype(np.float32), *labels)
    assert by_distance.to_dict() == evaluate("llcm", *vectors, *labels).to_dict()


def test_mean_of_trials_weighs_them_alike() -> None:
    case, other = random_case(5), random_case(6, gallery=30, people=5)
    results = [evaluate("llcm", *(one[field] for field in FIELDS)) for one in (case, other)]
    mean = RetrievalResult.mean(results)
    assert mean.map == pytest.approx((results[0].map + results[1].map) / 2)
    assert mean.rank[1] == pytest.approx((results[0].rank[1] + results[1].rank[1]) / 2)
    assert len(mean.cmc) == max(len(one.cmc) for one in results)
    assert mean.cmc[-1] == pytest.approx(1)
    with pytest.raises(ValueError, match="at least one result"):
        RetrievalResult.mean([])


def test_mistakes_name_what_was_expected() -> None:
    one = (np.ones((2, 3)), np.ones((2, 3)), [1, 2], [1, 2], [1, 1], [2, 2])
    with pytest.raises(KeyError, match=r"market.*sysu-mm01, regdb, llcm, hitsz-vcm"):
        evaluate("market", *one)
    with pytest.raises(ValueError, match="one width, got 3 and 4"):
        evaluate("regdb", one[0], np.ones((2, 4)), *one[2:])
    with pytest.raises(ValueError, match="3 queries and 2 gallery entries, got 2 and 2"):
        evaluate("regdb", *one[:2], [1, 2, 3], one[3], [1, 1, 1], one[5])
    with pytest.raises(ValueError, match=r"query_cameras: expected whole numbers \[2\], got int64\[3\]"):
        evaluate("regdb", *one[:4], [1, 2, 3], one[5])
    with pytest.raises(ValueError, match="gallery_cameras: expected whole numbers"):
        evaluate("regdb", *one[:5], [0.5, 1.0])
    with pytest.raises(ValueError, match="query_features: expected finite"):
        evaluate("regdb", np.full((2, 3), np.nan), *one[1:])
    with pytest.raises(ValueError, match="distances: expected finite"):
        evaluate_distances("regdb", np.full((2, 2), np.inf), *one[2:])
    with pytest.raises(ValueError, match="at least one query and one gallery entry, got 2 and 0"):
        evaluate("regdb", one[0], np.ones((0, 3)), [1, 2], [], [1, 1], [])
    with pytest.raises(ValueError, match="at least one query with a match in the gallery, got none among 2"):
        evaluate("regdb", *one[:3], [8, 9], *one[4:])


def test_unsigned_labels_as_matlab_stores_them_do_not_wrap() -> None:
    features = np.eye(2)
    result = evaluate("sysu-mm01", features, features, *(np.array([1, 2], np.uint16),) * 2, [3, 6], [1, 4])
    assert result.rank[1] == 1.0


def test_judging_needs_no_torch() -> None:
    found = "import sys, models.evaluation; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
