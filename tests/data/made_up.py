"""Small datasets of pictures drawn here, as others' archives lay them out."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.image_classification.caltech_birds import CaltechBirds2011
from tensorflow_datasets.object_detection.voc import Voc

from castream_jax.data.sources.voc_folder import CLASSES

SIDE = 48
"""Width of the pictures; they are two thirds as high."""
SHAPE = (32, SIDE)
Thing = tuple[str, tuple[int, int, int, int], bool]
"""An object: its class, its box (ymin, xmin, ymax, xmax) in pixels, and whether it is difficult."""


def draw(things: Sequence[Thing], seed: int) -> np.ndarray:
    """Return a picture of noise in which each object is a rectangle of its class's colour."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (*SHAPE, 3), np.uint8)
    for name, (top, left, bottom, right), _ in things:
        pixels[top:bottom, left:right] = np.random.default_rng(CLASSES.index(name)).integers(100, 255, 3, np.uint8)
    return pixels


def encode(pixels: np.ndarray, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def annotate(things: Sequence[Thing]) -> str:
    """Return the annotation of a picture as VOC writes it, with the part of an object, which is none."""
    objects = "".join(
        f"<object><name>{name}</name><difficult>{int(hard)}</difficult><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox><part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
        "<xmax>2</xmax><ymax>2</ymax></bndbox></part></object>"
        for name, (top, left, bottom, right), hard in things
    )
    size = f"<size><width>{SHAPE[1]}</width><height>{SHAPE[0]}</height><depth>3</depth></size>"
    return f"<annotation>{size}{objects}</annotation>"


def segment(things: Sequence[Thing]) -> bytes:
    """Return a mask of classes as VOC writes it: a palette, 255 around each object."""
    values = np.zeros(SHAPE, np.uint8)
    for name, (top, left, bottom, right), _ in things:
        values[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = 255
        values[top:bottom, left:right] = 1 + CLASSES.index(name)
    mask = Image.fromarray(values, "L").convert("P")
    mask.putdata(values.reshape(-1).tolist())
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


def write_voc(
    place: Path,
    splits: Mapping[str, Mapping[str, Sequence[Thing]]],
    segmented: Sequence[str] = (),
    classes: Sequence[str] = CLASSES,
) -> Path:
    """Write VOCdevkit/VOC2012 in a place, of pictures by split and name, and return its folder."""
    root = place / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main", "ImageSets/Segmentation", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    for split, pictures in splits.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{name}\n" for name in pictures))
        own = [name for name in pictures if name in segmented]
        if own:
            (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("".join(f"{name}\n" for name in own))
        for name in classes:
            lines = [f"{picture} {say(things, name):2d}\n" for picture, things in pictures.items()]
            (root / "ImageSets" / "Main" / f"{name}_{split}.txt").write_text("".join(lines))
        for seed, (name, things) in enumerate(pictures.items()):
            (root / "JPEGImages" / f"{name}.jpg").write_bytes(encode(draw(things, seed)))
            (root / "Annotations" / f"{name}.xml").write_text(annotate(things))
            if name in segmented:
                (root / "SegmentationClass" / f"{name}.png").write_bytes(segment(things))
    return root


def say(things: Sequence[Thing], name: str) -> int:
    """Return what a class's list says of a picture."""
    own = [hard for found, _, hard in things if found == name]
    return -1 if not own else 0 if all(own) else 1


def make_tfds(kind: type, examples: Mapping[str, Sequence[dict]], directory: Path, config: str | None = None) -> None:
    """Write examples by split as TFDS writes them for one of its builders."""
    with tfds.core.registered.skip_registration():

        class MadeUp(kind):
            name = kind.name

            def _split_generators(self, manager):
                del manager
                return {split: self._generate_examples(found) for split, found in examples.items()}

            def _generate_examples(self, found):
                yield from enumerate(found)

    MadeUp(data_dir=str(directory), config=config).download_and_prepare(file_format="array_record")


def voc_example(name: str, things: Sequence[Thing], seed: int = 0) -> dict:
    """Return an example of TFDS's `voc/2012`."""
    height, width = SHAPE
    return {
        "image": io.BytesIO(encode(draw(things, seed))),
        "image/filename": f"{name}.jpg",
        "objects": [
            {
                "label": found,
                "bbox": tfds.features.BBox(top / height, left / width, bottom / height, right / width),
                "pose": "unspecified",
                "is_truncated": False,
                "is_difficult": hard,
            }
            for found, (top, left, bottom, right), hard in things
        ],
        "labels": sorted({found for found, _, _ in things}),
        "labels_no_difficult": sorted({found for found, _, hard in things if not hard}),
    }


def make_voc(splits: Mapping[str, Mapping[str, Sequence[Thing]]], directory: Path) -> None:
    """Write `voc/2012` as TFDS does."""
    examples = {
        split: [voc_example(name, things, seed) for seed, (name, things) in enumerate(pictures.items())]
        for split, pictures in splits.items()
    }
    make_tfds(Voc, examples, directory, "2012")


def make_birds(count: int, directory: Path) -> None:
    """Write `caltech_birds2011` as TFDS does: a bird of 200 in each picture, its box, and a mask of some grey."""

    def example(seed: int) -> dict:
        mask = np.zeros(SHAPE, np.uint8)
        mask[8:20, 10:30] = 102
        return {
            "image": io.BytesIO(encode(draw([("bird", (8, 10, 20, 30), False)], seed))),
            "image/filename": f"images/{seed:03d}.bird/{seed}.jpg",
            "label": seed % 200,
            "label_name": "bird",
            "bbox": tfds.features.BBox(8 / 32, 10 / 48, 24 / 32, 30 / 48),
            "segmentation_mask": io.BytesIO(encode(mask, "PNG")),
        }

    examples = {"train": [example(i) for i in range(count)], "test": [example(i) for i in range(count)]}
    make_tfds(CaltechBirds2011, examples, directory)


def make_pets(count: int, directory: Path) -> None:
    """Write `oxford_iiit_pet` as TFDS does: a breed of 37, and a trimap, 1 the animal, 2 around it, 3 between."""

    def example(seed: int) -> dict:
        trimap = np.full(SHAPE, 2, np.uint8)
        trimap[6:22, 8:32] = 3
        trimap[8:20, 10:30] = 1
        return {
            "image": io.BytesIO(encode(draw([("cat", (8, 10, 20, 30), False)], seed))),
            "label": seed % 37,
            "species": seed % 2,
            "file_name": f"breed_{seed}.jpg",
            "segmentation_mask": io.BytesIO(encode(trimap, "PNG")),
            "head_bbox": tfds.features.BBox(0.0, 0.0, 0.1, 0.1),
        }

    examples = {"train": [example(i) for i in range(count)], "test": [example(i) for i in range(count)]}
    make_tfds(tfds.builder_cls("oxford_iiit_pet"), examples, directory)
