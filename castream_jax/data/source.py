"""Opens a dataset by name: random access to encoded records, without TensorFlow."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import tensorflow_datasets as tfds

from castream_jax.data.builders.castream_demo import CastreamDemo
from castream_jax.errors import InputError, choose, unknown

OWN_BUILDERS = {"castream_demo": CastreamDemo}
"""Datasets that are made on first use, without a download."""


@dataclass(frozen=True)
class Source:
    """One split of a dataset: records by index, `image` still encoded."""

    name: str
    split: str
    records: Any
    class_names: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        return self.records[index]


def open_source(name: str, split: str, directory: str = "") -> Source:
    """Open a split of a TFDS dataset; our own datasets are made first if they are not there yet.

    Args:
      name: a TFDS dataset, prepared as ArrayRecord, or one of `OWN_BUILDERS`.
      split: one of its splits.
      directory: where datasets are kept; empty for TFDS's default (`TFDS_DATA_DIR`, or the home directory).

    Raises:
      InputError: an unknown dataset or split, a dataset that is not prepared or has no labels.
    """
    builder = _create_builder(name, directory)
    if not builder.data_path.exists():
        if name not in OWN_BUILDERS:
            raise InputError(
                f"dataset {name!r} is not prepared in {Path(builder.data_path).parent}. Prepare it once, with "
                f"TensorFlow installed: tfds.builder({name!r}, file_format='array_record').download_and_prepare()"
            )
        print(f"making dataset {name} in {builder.data_path} (once, about half a minute)", flush=True)
        logging.getLogger("absl").setLevel(logging.WARNING)
        builder.download_and_prepare()
    choose(f"split of {name}", split, builder.info.splits)
    features = builder.info.features
    if not {"image", "label"} <= set(features):
        raise InputError(f"dataset {name!r} has features {', '.join(features)}: expected image and label.")
    encoded = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    records = builder.as_data_source(split, decoders={key: tfds.decode.SkipDecoding() for key in encoded})
    return Source(name, split, records, tuple(features["label"].names))


def _create_builder(name: str, directory: str) -> tfds.core.DatasetBuilder:
    options = {"file_format": "array_record"} | ({"data_dir": directory} if directory else {})
    if name in OWN_BUILDERS:
        return OWN_BUILDERS[name](**options)
    try:
        return tfds.builder(name, **options)
    except tfds.core.registered.DatasetNotFoundError:
        known = [*OWN_BUILDERS, *tfds.list_builders(with_community_datasets=False)]
        message = unknown("dataset", name, known)
        raise InputError(message.split(" Choose one of")[0] + " Any TFDS dataset or castream_demo will do.") from None
