from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor

from partae.metrics import clustering_accuracy, knn_accuracy
from partae.metrics.comparison import clustering, measure_classes, measure_cost
from tests.metrics.test_classification import blobs
from tests.model.test_factorization import factorization


@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 5), (5, 2)])
def test_clustering_accuracy_is_the_best_of_all_ways_to_match(classes: int, clusters: int) -> None:
    labels, found = torch.randint(classes, (40,)), torch.randint(clusters, (40,))
    count = max(classes, clusters)
    best = max((torch.tensor(order)[found] == labels).float().mean().item() for order in permutations(range(count)))
    assert clustering_accuracy(labels, found) == pytest.approx(best)


def test_clustering_accuracy_does_not_see_the_names_of_clusters() -> None:
    labels = torch.tensor([0, 1, 2, 2, 1])
    assert clustering_accuracy(labels, 10 - 3 * labels) == 1
    assert clustering_accuracy(labels, torch.zeros(5, dtype=torch.int64)) == 0.4


def test_information_is_that_of_scikit_learn() -> None:
    code, labels = blobs(300)
    accuracy, shared = clustering(code, labels, seed=1)
    found = KMeans(3, n_init=10, random_state=1).fit(code.numpy()).labels_
    assert shared == normalized_mutual_info_score(labels, found)
    assert accuracy == clustering_accuracy(labels, torch.from_numpy(found))


def test_codes_that_are_all_alike_are_clustered_without_a_warning() -> None:
    accuracy, shared = clustering(torch.ones(30, 4), torch.arange(30) % 3)
    assert accuracy == pytest.approx(1 / 3)
    assert shared == 0


def test_the_nearest_codes_vote() -> None:
    (code, labels), (test_code, test_labels) = blobs(300), blobs(200, seed=1)
    nearest = torch.cdist(test_code, code).topk(5, largest=False).indices
    votes = labels[nearest].mode().values  # the smallest class on a tie, as scikit-learn's
    expected = (votes == test_labels).float().mean().item()
    assert knn_accuracy(code, labels, test_code, test_labels) == pytest.approx(expected)
    few = knn_accuracy(code, labels, test_code, test_labels, seed=1, size=30)
    assert few == knn_accuracy(code, labels, test_code, test_labels, seed=1, size=30) != pytest.approx(expected)
    assert knn_accuracy(code[:2], labels[:2], test_code, test_labels) <= 1  # fewer than five


def test_whether_the_code_or_the_atom_is_large_does_not_matter() -> None:
    sets: dict[str, Any] = {"train": blobs(300), "test": blobs(200, seed=1)}
    atoms, factors = torch.rand(4, 1, 5, 5), torch.tensor([0.25, 1.0, 4.0, 64.0])
    measures = measure_classes(sets.__getitem__, atoms)
    scaled = {split: (code * factors, labels) for split, (code, labels) in sets.items()}
    assert measure_classes(scaled.__getitem__, atoms / factors.view(4, 1, 1, 1)) == measures
    assert all(0.5 < value <= 1 for name, value in measures.items() if name != "clustering_nmi")


def test_the_cost_is_that_of_ten_thousand_images(monkeypatch: pytest.MonkeyPatch) -> None:
    model = factorization(None)
    seen: list[int] = []
    encode = model.encode

    def note(images: Tensor) -> Tensor:
        seen.append(len(images))
        return encode(images)

    clock = iter([1.0, 1.5])
    monkeypatch.setattr(model, "encode", note)
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    cost = measure_cost(model, torch.rand(1000, 1, 5, 5))
    assert cost == {"encode_seconds": 5.0, "parameter_bytes": 4 * (6 * 25 + 25)}
    assert np.sum(seen[1:]) == 1000
