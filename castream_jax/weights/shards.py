"""Weights in several files: an index says which array is in which; a folder holds the index, or one file."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from castream_jax.errors import InputError
from castream_jax.weights.bounds import LARGEST, check_regular
from castream_jax.weights.labels import DOWNLOAD_AGAIN
from castream_jax.weights.wrappers import list_names

INDEX = ".index.json"
HUB_FILES = (
    "model.safetensors",
    f"model.safetensors{INDEX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{INDEX}",
)
"""Under which names a repository of the hub, or a copy of it, holds its weights, best first."""
LARGEST_INDEX = 2**24
"""In bytes: of a hundred thousand arrays."""


def find_in_folder(folder: Path) -> Path | None:
    """Return the weights, or their index, in a copy of a hub's repository; None if it is none."""
    return next((folder / name for name in HUB_FILES if (folder / name).exists()), None)


def is_index(path: Path) -> bool:
    """Return whether a file is an index of shards, from its name."""
    return path.name.endswith(INDEX)


def list_shards(index: Path) -> list[str]:
    """Return the names of the files that an index names, each once."""
    return sorted(set(read_index(index).values()))


def read_index(index: Path) -> dict[str, str]:
    """Return the file of every array that an index names.

    Raises:
      InputError: it is no index, or names files that are not beside it.
    """
    if check_regular(index) > LARGEST_INDEX:
        raise InputError(f"{str(index)!r} is larger than {LARGEST_INDEX} bytes: expected an index of shards.")
    try:
        files: Any = json.loads(index.read_bytes())["weight_map"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError, MemoryError) as error:
        cause = str(error)[:200] or type(error).__name__
        raise InputError(f"{str(index)!r} is no index of shards ({cause}). {DOWNLOAD_AGAIN}") from error
    if not isinstance(files, dict) or not files or not all(isinstance(name, str) for name in files.values()):
        raise InputError(f"{str(index)!r} is no index of shards: expected a file's name for every array.")
    kind = Path(index.name.removesuffix(INDEX)).suffix
    strange = {name for name in files.values() if Path(name).name != name or "\\" in name or "\0" in name}
    strange |= {name for name in files.values() if Path(name).suffix != kind or name.startswith(".")}
    if strange:
        raise InputError(
            f"{str(index)!r} names {list_names(map(repr, sorted(strange)))}: expected {kind} files beside it, without "
            "a folder."
        )
    return files


def read_shards(index: Path, read: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all shards of an index hold, each read by `read`.

    Raises:
      InputError: shards that are missing or hold other arrays than the index says.
    """
    files = read_index(index)
    shards = {name: index.parent / name for name in sorted(set(files.values()))}
    if missing := [name for name, path in shards.items() if not path.exists()]:
        raise InputError(f"{str(index)!r} names shards that are not beside it: {list_names(missing)}. Download them.")
    if sum(map(check_regular, shards.values())) > LARGEST:
        raise InputError(f"the shards of {str(index)!r} have more than {LARGEST} bytes: no network here has so many.")
    found: dict[str, Any] = {}
    for name, path in shards.items():
        content = read(path)
        named = {key for key, file in files.items() if file == name}
        if different := sorted(map(str, set(content) ^ named)):
            raise InputError(
                f"{str(path)!r} does not hold what {index.name} says: {len(different)} arrays differ, "
                f"{list_names(different)}. {DOWNLOAD_AGAIN}"
            )
        found |= content
    return found
