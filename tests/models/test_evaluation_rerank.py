"""Re-ranking: equal to the paper's sets and sums written out, and worth something where neighbours agree."""

from pathlib import Path

import numpy as np
import pytest

from models.data.samples import Sample
from models.evaluation import RerankOptions, evaluate, evaluate_distances, judge, k_reciprocal, rerank
from models.types import Modality


def by_the_paper(query: np.ndarray, gallery: np.ndarray, k1: int, k2: int, weight: float) -> np.ndarray:
    """Zhong et al. 2017, one pair at a time, with sets."""
    vectors = [row / np.linalg.norm(row) for row in (*query, *gallery)]
    count = len(vectors)
    d = np.array([[sum((a - b) ** 2) for b in vectors] for a in vectors])
    d /= d.max(axis=1, keepdims=True)

    order = [sorted((i for i in range(count) if i != p), key=lambda i: d[p, i]) for p in range(count)]

    def near(p: int, k: int) -> list[int]:  # p itself and its k nearest
        return [p, *order[p][:k]]

    def reciprocal(p: int, k: int) -> set[int]:
        return {g for g in near(p, k) if p in near(g, k)}

    encoding = np.zeros((count, count))
    for p in range(count):
        own = reciprocal(p, k1)
        expanded = set(own)
        for q in own:
            theirs = reciprocal(q, round(k1 / 2))
            if len(own & theirs) >= 2 / 3 * len(theirs) - 1e-9:
                expanded |= theirs
        for g in expanded:
            encoding[p, g] = np.exp(-d[p, g])
        encoding[p] /= encoding[p].sum()
    expanded_queries = np.array([np.mean([encoding[i] for i in near(p, k2 - 1)], axis=0) for p in range(count)])
    answer = np.zeros((len(query), len(gallery)))
    for p in range(len(query)):
        for g in range(len(gallery)):
            one, other = expanded_queries[p], expanded_queries[len(query) + g]
            jaccard = 1 - np.minimum(one, other).sum() / np.maximum(one, other).sum()
            answer[p, g] = (1 - weight) * jaccard + weight * d[p, len(query) + g]
    return answer


def clustered(seed: int, queries: int, gallery: int, people: int, noise: float) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, 8))
    query_ids, gallery_ids = np.arange(queries) % people, rng.permutation(np.arange(gallery) % people)
    return (
        centres[query_ids] + noise * rng.normal(size=(queries, 8)),
        centres[gallery_ids] + noise * rng.normal(size=(gallery, 8)),
        query_ids,
        gallery_ids,
    )


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (7, 3, 0.3), (5, 1, 0.0), (3, 2, 1.0), (60, 6, 0.5)])
def test_distances_are_the_papers(k1: int, k2: int, weight: float) -> None:
    query, gallery, _, _ = clustered(k1, 11, 37, 6, 0.7)
    ours = k_reciprocal(query, gallery, RerankOptions(k1=k1, k2=k2, original_weight=weight))
    np.testing.assert_allclose(ours, by_the_paper(query, gallery, k1, k2, weight), atol=1e-6)


def test_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery, _, _ = clustered(1, 9, 31, 5, 0.7)
    whole = k_reciprocal(query, gallery)
    monkeypatch.setattr(rerank, "_CELLS", 100)
    np.testing.assert_allclose(k_reciprocal(query, gallery), whole, atol=1e-7)


def test_ranks_rise_where_neighbours_agree() -> None:
    query, gallery, query_ids, gallery_ids = clustered(3, 120, 240, 20, 0.8)
    labels = (query_ids, gallery_ids, np.ones(120, int), np.full(240, 2))
    plain = evaluate("regdb", query, gallery, *labels)
    better = evaluate_distances("regdb", k_reciprocal(query, gallery), *labels)
    assert better.map > plain.map + 0.02


def test_equal_vectors_and_a_tiny_gallery_are_survived() -> None:
    same = k_reciprocal(np.ones((2, 3)), np.ones((4, 3)))
    assert np.isfinite(same).all()
    assert same.shape == (2, 4)
    assert k_reciprocal(np.eye(3)[:1], np.eye(3)[1:2]).shape == (1, 1)


def test_mistakes_name_what_was_expected() -> None:
    with pytest.raises(ValueError, match="1 <= k2 <= k1, got k1 = 3, k2 = 6"):
        RerankOptions(k1=3)
    with pytest.raises(ValueError, match="original_weight: expected 0 to 1, got 2"):
        RerankOptions(original_weight=2)
    with pytest.raises(ValueError, match="one width"):
        k_reciprocal(np.ones((2, 3)), np.ones((2, 4)))


def test_re_ranking_is_a_choice() -> None:
    query, gallery, query_ids, gallery_ids = clustered(3, 60, 120, 20, 0.8)
    picture = (Path("a.jpg"),)
    samples = [Sample(picture, int(i), 1, Modality.INFRARED) for i in query_ids]
    samples += [Sample(picture, int(i), 2, Modality.VISIBLE) for i in gallery_ids]
    features = np.concatenate((query, gallery))
    labels = (query_ids, gallery_ids, np.ones(60, int), np.full(120, 2))
    assert judge("regdb", samples, features).to_dict() == evaluate("regdb", query, gallery, *labels).to_dict()
    again = judge("regdb", samples, features, rerank=RerankOptions(k1=8, k2=3))
    distances = k_reciprocal(query, gallery, RerankOptions(k1=8, k2=3))
    assert again.to_dict() == evaluate_distances("regdb", distances, *labels).to_dict()
