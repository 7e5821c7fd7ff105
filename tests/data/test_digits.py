from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from partae.data import Digits


def test_the_digits_are_those_of_scikit_learn_and_the_last_are_tested() -> None:
    digits, source = load_digits(), Digits()
    (images, labels), (tested, others) = source.load("train"), source.load("test")
    assert images.shape[1:] == source.image_shape
    assert (len(images), len(tested)) == (1437, 360)
    np.testing.assert_array_equal(np.concatenate([images, tested])[:, 0] * 16, digits.images)
    np.testing.assert_array_equal(np.concatenate([labels, others]), digits.target)
