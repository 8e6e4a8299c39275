"""Opens a dataset by name: random access to encoded records, without TensorFlow."""

import hashlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, SupportsIndex

from castream_jax.config import DataConfig
from castream_jax.data.boxes import BoxedRecords, add_boxes
from castream_jax.data.class_names import check_label, name_labels, read_class_list
from castream_jax.data.image_folder import open_folder
from castream_jax.data.pictures.decoding import AS_SEEN, Decoding
from castream_jax.data.prepared import OWN_BUILDERS, command, find_builder, open_records
from castream_jax.errors import InputError
from castream_jax.storage.locking import alone_in

SAMPLED = 64
"""Records whose content tells one dataset from another with files of the same names and sizes."""


@dataclass(frozen=True)
class Source:
    """One split of a dataset: records by index, `image` still encoded."""

    name: str
    split: str
    records: Any
    class_names: tuple[str, ...]
    decoding: Decoding = AS_SEEN
    """How its pictures are to be decoded."""

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        record = self.records[index]
        check_label(record, self.num_classes)
        return record

    def locate(self, index: int) -> str:
        """Return where a record lies, for messages: its file, and if that holds many its place in it."""
        if hasattr(self.records, "locate"):
            return self.records.locate(index)
        return f"record {index} of {self.name}, split {self.split}"

    def digest(self) -> str:
        """Return the sha256 of what is read: classes, names and sizes of all files, content of some of the records and
        of all files of boxes.

        It is the same wherever the dataset lies.
        """
        files = self.records.list_files() if hasattr(self.records, "list_files") else []
        boxes = self.records.digest_boxes() if isinstance(self.records, BoxedRecords) else ""
        said = [self.name, self.split, len(self), self.class_names, files, boxes]
        found = hashlib.sha256(json.dumps(said).encode())
        for index in range(0, len(self), max(len(self) // SAMPLED, 1)):
            try:
                record = self.records[index]
                found.update(record["image"] + str(record.get("label")).encode())
            except Exception as error:  # storage raises whatever it stumbles on; reading is another's concern
                found.update(type(error).__name__.encode())
        return found.hexdigest()


def open_source(
    name: str,
    split: str,
    directory: str = "",
    boxes: str = "",
    boxes_of: Literal["class", "all"] = "class",
    classes: str = "",
    decoding: Decoding = AS_SEEN,
) -> Source:
    """Open a split of a dataset; our own demo is made first if it is not there yet.

    Args:
      name: `image_folder`, or a dataset that lies in `directory` as TFDS lays it out, as in `imagenette/320px-v2`.
      split: one of its splits.
      directory: the folder of `image_folder`; else where datasets are kept, empty for TFDS's default
        (`TFDS_DATA_DIR`, or the home directory).
      boxes: a folder of PASCAL VOC files, from which records get their `bbox`; empty: none.
      boxes_of: whose boxes count: of objects of the picture's class, or of all.
      classes: a file that lists the classes, one in each line, by label. An image folder's get their labels from it; to
        another dataset's it only gives names. Empty: the dataset's own (`image_folder.open_folder`).
      decoding: how its pictures are to be decoded.

    Raises:
      InputError: an unknown dataset or split, a dataset that is not prepared or has no labels, no boxes where said, a
        list of classes that does not fit.
    """
    records, own = _open(name, split, directory, classes)
    listed = read_class_list(classes) if classes else ()
    class_names = name_labels(own, listed, classes) if listed else own
    if boxes:
        names = [(mine, given) for mine, given in zip(own, class_names, strict=True)]
        records = add_boxes(records, Path(os.path.expanduser(boxes)), split, names, boxes_of == "all")
    return Source(name, split, records, class_names, decoding)


def open_split(data: DataConfig, split: str, with_boxes: bool = False) -> Source:
    """Open a split of an experiment's dataset; `InputError` as `open_source` raises it."""
    boxes = data.boxes if with_boxes else ""
    return open_source(data.name, split, data.directory, boxes, data.boxes_of, data.classes, Decoding.of(data))


def _open(name: str, split: str, directory: str, classes: str) -> tuple[Any, tuple[str, ...]]:
    """Return the records of a split and the dataset's own names of the classes."""
    if name == "image_folder":
        if not directory:
            raise InputError("image_folder needs data.directory: the folder that holds <split>/<class>/<picture>.")
        folder = open_folder(Path(directory).expanduser(), split, classes)
        return folder, folder.class_names
    builder = find_builder(name, directory)
    if not builder.data_path.exists():
        if name not in OWN_BUILDERS:
            raise InputError(
                f"dataset {name!r} is not prepared in {builder.data_path.parent}. Prepare it once: "
                f"{command(name, directory)}"
            )
        with alone_in(Path(builder.data_path.parent), "making it", wait=True):
            if not builder.data_path.exists():  # another process may have been first
                print(f"making dataset {name} in {builder.data_path} (once, about half a minute)", flush=True)
                logging.getLogger("absl").setLevel(logging.WARNING)
                builder.download_and_prepare(file_format="array_record")
        builder = find_builder(name, directory)
    return open_records(builder, split)
