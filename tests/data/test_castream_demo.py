"""The demo set is what it says: the same bytes for ever, splits that share nothing, masks on their digits."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from castream_jax.data.builders import castream_demo


def examples(split: str, count: int) -> list[dict]:
    return [example for _, example in castream_demo.generate(split, count)]


def test_the_same_bytes_every_time():
    def digest() -> str:
        found = hashlib.sha256()
        for example in examples("test", 8):
            found.update(example["image"].read() + example["mask"].read() + example["id"].encode())
        return found.hexdigest()

    assert digest() == digest()


def test_splits_share_no_digit_and_no_part_of_a_photograph():
    parts = list(castream_demo.PARTS.values())
    digits = [set(range(1797)[part.digits]) for part in parts]
    assert sum(map(len, digits)) == len(set.union(*digits)) == 1797
    photo = np.arange(451)[None]
    columns = [set(castream_demo.cut_band(photo, part.band)[0].tolist()) for part in parts]
    assert sum(map(len, columns)) == len(set.union(*columns)) == 451


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_masks_and_boxes_are_the_digits(split):
    for example in examples(split, 20):
        image = np.asarray(Image.open(example["image"]))
        mask = np.asarray(Image.open(example["mask"])) > 0
        assert image.shape == (96, 96, 3)
        assert mask.shape == (96, 96)
        assert 60 < mask.sum() < 60 * 60
        box = example["box"]
        top, bottom, left, right = (round(96 * side) for side in (box.ymin, box.ymax, box.xmin, box.xmax))
        inside = np.zeros_like(mask)
        inside[top:bottom, left:right] = True
        assert (mask <= inside).all()
        assert mask[top].any()
        assert mask[bottom - 1].any()
        # The digit stands out from what is around it.
        grey = image.mean(-1)
        assert abs(grey[mask].mean() - grey[inside & ~mask].mean()) > 10


def test_every_class_is_there():
    assert {example["label"] for example in examples("validation", 100)} == set(range(10))


def test_the_distractor_never_touches_the_digit():
    rng = np.random.default_rng(0)
    for _ in range(200):
        side = int(rng.integers(42, 61))
        place = rng.integers(0, 96 - side + 1, 2)
        other, start = castream_demo.free_place(rng, place, side)
        assert (start >= 0).all()
        assert (start + other <= 96).all()
        assert ((start >= place + side) | (start + other <= place)).any()
        assert other >= 18


def test_images_decode_from_their_bytes():
    example = examples("train", 1)[0]
    assert Image.open(io.BytesIO(example["image"].read())).format == "JPEG"
