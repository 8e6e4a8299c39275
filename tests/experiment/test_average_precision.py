"""Mean average precision, against a plain loop over ranks and against scikit-learn's curve."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from castream_jax.experiment.average_precision import (
    average_precision,
    average_precisions,
    find_missing,
    guess,
    is_near_guessing,
    mean_average_precision,
)


def plain(scores, there) -> float:
    """Return as VOC's kit: at each picture that shows the class the highest precision from there on; their mean."""
    order = np.argsort(-scores)
    there = there[order]
    precision = [there[: rank + 1].mean() for rank in range(len(there))]
    return float(np.mean([max(precision[rank:]) for rank in np.flatnonzero(there)]))


def from_curve(scores, there) -> float:
    precision, recall, _ = precision_recall_curve(there, scores)
    precision, recall = precision[::-1], recall[::-1]
    return sum((recall[i] - recall[i - 1]) * precision[i:].max() for i in range(1, len(recall)))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_area_under_the_interpolated_curve(seed):
    rng = np.random.default_rng(seed)
    scores, there = rng.standard_normal(60), rng.random(60) < 0.3
    found = average_precision(scores.astype(np.float32), there.astype(np.uint8))
    np.testing.assert_allclose(found, plain(scores, there), rtol=1e-12)
    np.testing.assert_allclose(found, from_curve(scores, there), rtol=1e-12)


def test_equal_scores_stand_together():
    rng = np.random.default_rng(0)
    scores, there = rng.integers(0, 4, 50).astype(np.float32), rng.random(50) < 0.4
    found = average_precision(scores, there.astype(np.uint8))
    np.testing.assert_allclose(found, from_curve(scores, there), rtol=1e-12)
    order = rng.permutation(50)
    assert average_precision(scores[order], there[order].astype(np.uint8)) == found
    assert average_precision(np.zeros(50, np.float32), there.astype(np.uint8)) == there.mean()


def test_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    np.testing.assert_allclose(average_precision(scores, np.array([1, 0, 1, 0], np.uint8)), (1 + 2 / 3) / 2)
    np.testing.assert_allclose(average_precision(scores, np.array([0, 1, 1, 0], np.uint8)), 2 / 3)  # interpolated
    assert average_precision(scores, np.array([1, 1, 1, 1], np.uint8)) == 1
    assert np.isnan(average_precision(scores, np.zeros(4, np.uint8)))


def test_what_nobody_can_tell_is_left_out():
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    assert average_precision(scores, np.array([2, 1, 0], np.uint8)) == 1
    assert average_precision(scores, np.array([0, 1, 0], np.uint8)) == 0.5


def test_a_nan_is_never_found():
    scores = np.array([np.nan, 0.8, 0.7], np.float32)
    assert average_precision(scores, np.array([1, 1, 0], np.uint8)) == 0.5
    assert average_precision(np.full(3, np.nan, np.float32), np.array([1, 1, 0], np.uint8)) == 0
    assert average_precision(scores, np.array([0, 1, 0], np.uint8)) == 1


def test_classes_without_pictures_are_left_out_of_the_mean():
    rng = np.random.default_rng(1)
    scores, labels = rng.random((40, 3)).astype(np.float32), (rng.random((40, 3)) < 0.5).astype(np.uint8)
    labels[:, 1] = 0
    found = average_precisions(scores, labels)
    assert np.isnan(found).tolist() == [False, True, False]
    assert mean_average_precision(scores, labels) == found[[0, 2]].mean()
    assert find_missing(labels, "abc") == ["b"]
    assert np.isnan(mean_average_precision(scores, np.zeros((40, 3), np.uint8)))


def test_guessing_is_told_from_knowing():
    rng = np.random.default_rng(2)
    labels = (rng.random((200, 5)) < 0.2).astype(np.uint8)
    noise = rng.standard_normal((200, 5)).astype(np.float32)
    assert is_near_guessing(mean_average_precision(noise, labels), guess(noise, labels))
    knowing = noise + 3 * labels
    assert not is_near_guessing(mean_average_precision(knowing, labels), guess(knowing, labels))
    moved = np.roll(knowing, 1, axis=1)  # another order of classes
    assert is_near_guessing(mean_average_precision(moved, labels), guess(moved, labels))
    few = guess(noise[:3], labels[:3])  # of which nothing can be said
    assert not is_near_guessing(mean_average_precision(noise[:3], labels[:3]), few)
