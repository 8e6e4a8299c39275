"""What a kind of dataset is: how its name is told from others', and how a split of it is opened."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from castream_jax.errors import InputError


@dataclass(frozen=True)
class Wanted:
    """Which dataset, as `config.DataConfig` says it."""

    name: str
    directory: str = ""
    """As `data.directory` says."""
    classes: str = ""
    """As `data.classes` says."""
    columns: str = ""
    """As `data.columns` says."""
    reads_truth: bool = True
    """Records are to say where objects are; else what lies in files of its own need not be read."""

    @property
    def path(self) -> Path:
        """Where the dataset is, if its name is that of a folder or file."""
        return Path(os.path.expanduser(self.name))


@dataclass(frozen=True)
class Opened:
    """One split, as it lies on disk."""

    records: Any
    """By index, dictionaries with `image`, encoded, `label`, and perhaps `id` and where the object is (`object_masks`);
    with `locate`, and `list_files`, the name and bytes of every file."""
    class_names: tuple[str, ...]
    """By label, as the dataset has them."""
    split: str
    """Its name there: `val` where `validation` was asked for."""
    has_several_labels: bool = False
    """Records hold `labels`, perhaps none or all, in place of `label` (`label_sets`)."""


@dataclass(frozen=True)
class SourceKind:
    """A way in for datasets."""

    name: str
    """What the digest of such a dataset begins with, in place of the name of a folder; empty: the dataset's name."""
    form: str
    """What it looks like, for messages."""
    claims: Callable[[Wanted], bool]
    """Whether a dataset is of this kind, by its name and what lies there."""
    open: Callable[[Wanted, str], Opened]
    """Opens a split, without a part; raises `InputError`."""
    read_class_names: Callable[[Wanted, str], tuple[str, ...]] | None = None
    """Returns the names of the classes where that is possible without a dataset on disk; else a split is opened."""
    reads_columns: bool = False
    """Its listings have columns, which `data.columns` may name."""
    takes_directory: bool = False
    """It lies in `data.directory`, or what it lists does; else its name says where it is."""


def read_columns(columns: str, known: tuple[str, ...]) -> dict[str, str]:
    """Return the column that holds each thing, of what `data.columns` says: "label=wnid, file_name=path".

    Args:
      columns: the setting; empty: each column goes by the name of what it holds.
      known: what there is to name.

    Raises:
      InputError: it is not of that form.
    """
    chosen: dict[str, str] = {}
    for piece in filter(None, map(str.strip, columns.split(","))):
        key, sign, column = map(str.strip, piece.partition("="))
        if key not in known or not sign or not column or key in chosen:
            raise InputError(
                f"data.columns is {columns!r}: expected each of {', '.join(known)} once at most, with the column that "
                "holds it, as in 'file_name=path, label=class'."
            )
        chosen[key] = column
    return chosen
