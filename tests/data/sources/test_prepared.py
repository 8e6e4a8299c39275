"""Datasets of others as TFDS lays them out: VOC's several labels, the birds' boxes and masks, the pets' trimaps."""

import numpy as np
import pytest

from castream_jax.config import DataConfig
from castream_jax.data.bad_records import read_picture, record_id
from castream_jax.data.explained_classes import explain_each_class
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.pipeline import evaluation_batches
from castream_jax.data.source import find_class_names, open_split
from castream_jax.data.sources.voc_folder import CLASSES
from castream_jax.errors import InputError
from tests.data.made_up import make_birds, make_pets, make_voc
from tests.data.sources.test_voc_folder import CAT, DOG, FAR, LABELS, NEAREST, VAL, row

SQUARE = Resize(48, "squash")


def opened(directory, name: str, split: str, **changes):
    return open_split(DataConfig(name=name, directory=str(directory), **changes), split, with_boxes=True)


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    directory = tmp_path_factory.mktemp("voc")
    make_voc({"train": {"t0": [CAT]}, "validation": VAL, "test": {"x0": [], "x1": []}}, directory)
    return directory


def test_labels_of_voc(voc):
    source = opened(voc, "voc/2012", "validation")
    assert source.has_several_labels
    assert source.class_names == CLASSES
    assert find_class_names(DataConfig(name="voc/2012", directory=str(voc)), "validation") == CLASSES
    (batch,) = evaluation_batches(source, Resize(16, "squash"), 5)
    found = dict(zip(batch["ids"].tolist(), batch["labels"].tolist(), strict=True))
    assert found == {f"{name}.jpg": row(said) for name, said in LABELS.items()}


def test_one_class_a_record_with_its_own_boxes(voc):
    source = explain_each_class(opened(voc, "voc/2012", "val"))
    assert len(source) == 2 + 2 + 20
    for i in range(len(source)):
        record, mask = source[i], read_picture(source, i, SQUARE)[2]
        name, shown = record["id"].split(".jpg#")
        there = np.zeros((32, 48), bool)
        for found, (top, left, bottom, right), _ in VAL[name]:
            if found == shown:
                there[top:bottom, left:right] = True
        assert CLASSES[record["label"]] == shown
        np.testing.assert_array_equal(mask, there[NEAREST])


def test_the_test_pictures_have_no_labels(voc):
    with pytest.raises(InputError, match="none of the 2 pictures of voc/2012, split test, has a label"):
        explain_each_class(opened(voc, "voc/2012", "test"))
    with pytest.raises(InputError, match="data.truth is 'masks'"):
        opened(voc, "voc/2012", "val", truth="masks")


def test_a_difficult_object_alone_is_neither_there_nor_not(voc):
    source = opened(voc, "voc/2012", "val")
    record = next(source[i] for i in range(5) if record_id(source[i], i) == "v1.jpg")
    assert list(record["labels"]) == []
    assert list(record["unsure_labels"]) == [CLASSES.index(FAR[0])]
    assert DOG[0] == FAR[0]


def test_birds_have_boxes_and_masks(tmp_path):
    make_birds(3, tmp_path)
    masks = opened(tmp_path, "caltech_birds2011", "test")
    assert masks.num_classes == 200
    there = np.zeros((32, 48), bool)
    there[8:20, 10:30] = True
    box = np.zeros((32, 48), bool)
    box[8:24, 10:30] = True
    for truth, expected in (("dataset", there), ("masks", there), ("boxes", box)):
        source = opened(tmp_path, "caltech_birds2011", "test", truth=truth)
        np.testing.assert_array_equal(read_picture(source, 1, SQUARE)[2], expected[NEAREST])
    assert record_id(masks[0], 0).startswith("images/")
    assert record_id(masks[0], 0).endswith(".jpg")


def test_pets_have_trimaps(tmp_path):
    make_pets(3, tmp_path)
    source = opened(tmp_path, "oxford_iiit_pet", "test")
    assert source.num_classes == 37
    there = np.zeros((32, 48), bool)
    there[6:22, 8:32] = True
    np.testing.assert_array_equal(read_picture(source, 0, SQUARE)[2], there[NEAREST])
    with pytest.raises(InputError, match="data.truth is 'boxes'"):  # the head's box is no animal's
        opened(tmp_path, "oxford_iiit_pet", "test", truth="boxes")
