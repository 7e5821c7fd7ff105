"""What a comparison of methods asks: do codes cluster by class, are neighbours of one class, and what do they cost?"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import resample
from torch import Tensor

from partae.metrics.calibration import BATCH
from partae.representation import Representation

OF_CLASSES = ("clustering_accuracy", "clustering_nmi", "knn_accuracy")
OF_COST = ("encode_seconds", "parameter_bytes")
ENCODED = 10_000  # images
STARTS, NEIGHBOURS = 10, 5


def clustering_accuracy(labels: Tensor, clusters: Tensor) -> float:
    """Share of images whose cluster is the one of their class, in [0, 1]; higher is better.

    Clusters and classes are matched one to one so that the share is largest (Hungarian method).

    Args:
        labels: (N,), whole numbers.
        clusters: (N,), whole numbers.

    >>> clustering_accuracy(torch.tensor([0, 0, 1, 1]), torch.tensor([7, 7, 3, 7]))
    0.75
    """
    table = contingency_matrix(labels.cpu().numpy(), clusters.cpu().numpy())
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(labels))


def clustering(code: Tensor, labels: Tensor, seed: int = 0) -> tuple[float, float]:
    """`clustering_accuracy` and normalised mutual information of k-means clusters with classes, both in [0, 1].

    There are as many clusters as classes. Of ten starts, the one of least inertia counts. The information is divided by
    the mean of the two entropies, as scikit-learn does; papers that divide by the larger one give at most that.

    Args:
        code: (N, K).
        labels: (N,), whole numbers.
        seed: of the starts.

    Source: Cai et al., *Graph regularized nonnegative matrix factorization for data representation* (2011).
    """
    with warnings.catch_warnings():  # a collapsed model has fewer codes than there are classes
        warnings.simplefilter("ignore", ConvergenceWarning)
        means = KMeans(len(labels.unique()), n_init=STARTS, random_state=seed).fit(code.numpy())
    shared = normalized_mutual_info_score(labels.numpy(), means.labels_)
    return clustering_accuracy(labels, torch.from_numpy(means.labels_)), float(shared)


def knn_accuracy(
    code: Tensor, labels: Tensor, test_code: Tensor, test_labels: Tensor, seed: int = 0, *, size: int = 20_000
) -> float:
    """Accuracy in [0, 1] of the most frequent class of the five nearest training codes; higher is better.

    Args:
        code: of training images, (N, K).
        labels: (N,), whole numbers.
        test_code: (M, K).
        test_labels: (M,), whole numbers.
        seed: draws the training images.
        size: number of training images to draw; all of them where there are fewer.
    """
    drawn = resample(range(len(code)), replace=False, n_samples=min(size, len(code)), random_state=seed)
    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(drawn)))
    neighbours.fit(code[drawn].numpy(), labels[drawn].numpy())
    return float(neighbours.score(test_code.numpy(), test_labels.numpy()))


def measure_classes(codes: Callable[[str], tuple[Tensor, Tensor]], atoms: Tensor, seed: int = 0) -> dict[str, float]:
    """Each measure of `OF_CLASSES`.

    Distances are those of codes whose entries are multiplied by the norms of their atoms: it is arbitrary which of the
    two is large.

    Args:
        codes: the code (N, K) and the labels (N,) of the "train" or "test" images, on the CPU.
        atoms: (K, C, H, W).
        seed: of k-means, and of the training images that are drawn.
    """
    norms = atoms.detach().cpu().flatten(1).norm(dim=1)
    (train, train_labels), (test, test_labels) = codes("train"), codes("test")
    accuracy, shared = clustering(test * norms, test_labels, seed)
    nearest = knn_accuracy(train * norms, train_labels, test * norms, test_labels, seed)
    return dict(zip(OF_CLASSES, (accuracy, shared, nearest), strict=True))


@torch.no_grad()
def measure_cost(model: Representation, images: Tensor) -> dict[str, float]:
    """Each measure of `OF_COST`.

    Args:
        model: in evaluation mode.
        images: (N, C, H, W), on any device; the time for 10,000 is that for these, times 10,000 / N.
    """
    batches = images.to(model.atoms).split(BATCH)
    model.encode(batches[0])  # the first call is slower than the others
    started = time.perf_counter()
    for batch in batches:
        model.encode(batch).cpu()  # waits for the device
    seconds = (time.perf_counter() - started) * ENCODED / len(images)
    size = sum(parameter.nbytes for parameter in model.parameters())
    return dict(zip(OF_COST, (seconds, float(size)), strict=True))
