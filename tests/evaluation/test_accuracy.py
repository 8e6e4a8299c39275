"""Accuracies of any number of poolings, trained and untrained, from parts of this version and of earlier ones."""

import json
from collections import Counter

import numpy as np
import pytest

from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.evaluation.accuracy import AccuracyParts, ScoreParts, WithUntrained
from castream_jax.experiment.split_scores import Scored
from tests.networks import small_resnet

COUNTS = {"images": 4, "oriented": 0, "transparent": 1}


def test_each_trained_pooling_has_its_untrained_accuracy_in_the_networks_order(tmp_path):
    parts = AccuracyParts(tmp_path, 8, 4)
    right = {"simpool": 3, "ca": 4, "gap": 2, "gem(p=4)": 1, "untrained/simpool": 1, "untrained/ca": 0}
    for images in parts.ranges:
        parts.write(images, Counter(COUNTS | right | {"untrained/gem(p=4)": 2}))
    found = parts.merge()
    assert list(found.trained.items()) == [("gap", 0.5), ("simpool", 0.75), ("ca", 1.0), ("gem(p=4)", 0.25)]
    assert list(found.untrained.items()) == [("simpool", 0.25), ("ca", 0.0), ("gem(p=4)", 0.5)]
    assert found.images == 4 * len(parts.ranges)
    assert found.pictures.transparent == len(parts.ranges)


def test_a_part_of_an_earlier_version_has_the_untrained_stream(tmp_path):
    parts = AccuracyParts(tmp_path, 1024, 512)
    first, second = parts.ranges
    parts.write(first, Counter(COUNTS | {"gap": 2, "ca": 4, "untrained/ca": 1}))
    parts.path(second).write_text(json.dumps(COUNTS | {"gap": 1, "ca": 2, "untrained": 3}))
    found = parts.merge()
    assert found.untrained == {"ca": 0.5}
    assert found.trained == {"gap": 0.375, "ca": 0.75}


def test_gap_is_not_trained_a_second_time():
    network = WithUntrained(small_resnet(), small_resnet())
    assert list(network.poolings()) == ["gap", "ca", "untrained/ca"]
    assert network.poolings()["untrained/ca"].stream is network.untrained.stream


@pytest.mark.parametrize("left", [0, 9, 400], ids=str)
def test_damaged_scores_are_computed_again(tmp_path, caplog, left):
    scored = Scored({"gap": np.zeros((8, 3), np.float32)}, np.zeros((8, 3), np.uint8), PictureCounts(8))
    parts = ScoreParts(tmp_path, 8, 8)
    (part,) = parts.missing()
    parts.write(part, scored)
    assert parts.missing() == []
    parts.path(part).write_bytes(parts.path(part).read_bytes()[:left])
    assert parts.missing() == [part]
    assert "cannot be read" in caplog.text
