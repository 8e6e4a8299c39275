"""Maps that another tool made, by image id, to be measured as our own are."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from tqdm import tqdm

from castream_jax.data.bad_records import record_id
from castream_jax.data.source import Source
from castream_jax.errors import InputError, escape

SHOWN = 5
"""Images that are named for each thing that is wrong."""
SUFFIXES = (".npy", ".npz")


@dataclass(frozen=True)
class GivenMaps:
    """A folder of maps, `<id>.npy` or `<id>.npz` with one array, or one `.safetensors` with an array for each id."""

    place: Path
    name: str
    """Of the folder, or of the file without its suffix: what the maps are called in the table."""
    ids: frozenset[str]

    def read(self, ids: Sequence[str]) -> Iterator[np.ndarray]:
        """Yield the arrays of some images, as they are stored."""
        if self.place.is_dir():
            for image_id in ids:
                yield read_array(self.place, image_id)
            return
        with safe_open(self.place, "numpy") as file:
            for image_id in ids:
                yield file.get_tensor(image_id)

    def batch(self, ids: Iterable[str]) -> Float[np.ndarray, "B h w"]:
        """Return the maps of a batch; zeros for what is padding, and has no id."""
        ids = list(map(str, ids))
        found = iter(self.read([image_id for image_id in ids if image_id]))
        maps = [next(found).astype(np.float32) if image_id else None for image_id in ids]
        shape = next((one.shape for one in maps if one is not None), (1, 1))
        return np.stack([np.zeros(shape, np.float32) if one is None else np.clip(one, 0, 1) for one in maps])


def open_given_maps(place: str) -> GivenMaps:
    """Open a folder or a file of maps; `InputError` if it is not there or holds none."""
    path = Path(place).expanduser()
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.suffix in SUFFIXES]
        ids = [str(file.relative_to(path).with_suffix("")) for file in files]
        if twice := sorted(name for name, count in Counter(ids).items() if count > 1):
            raise InputError(f"evaluation.maps: {path} has two files for {_list(twice)}, .npy and .npz: keep one.")
    elif path.suffix == ".safetensors" and path.is_file():
        try:
            with safe_open(path, "numpy") as file:
                ids = list(file.keys())
        except SafetensorError as error:
            raise InputError(f"evaluation.maps: cannot read {path} as safetensors ({error}).") from error
    else:
        raise InputError(
            f"evaluation.maps is {place!r}: expected a folder of <id>.npy or <id>.npz, or one .safetensors file."
        )
    if not ids:
        raise InputError(f"evaluation.maps: {path} holds no maps: expected <id>.npy or <id>.npz for each image.")
    return GivenMaps(path, path.resolve().stem, frozenset(ids))


def read_array(folder: Path, image_id: str) -> np.ndarray:
    """Return the array of an image's file; nothing in it is executed."""
    plain = folder / f"{image_id}.npy"
    if plain.is_file():
        return np.asarray(np.load(plain, allow_pickle=False))
    with np.load(folder / f"{image_id}.npz", allow_pickle=False) as arrays:
        if len(arrays.files) != 1:
            raise ValueError(f"it holds {len(arrays.files)} arrays, expected one")
        return np.asarray(arrays[arrays.files[0]])


def check_given_maps(given: GivenMaps, source: Source, images: range) -> str:
    """Look at the map of each image before any is measured, and return the digest of all of them.

    Raises:
      InputError: what is wrong, all of it: images without a map, arrays that cannot be read, of another shape than
        [h w] or than the first, with NaN or infinities, or out of 0..1. If all are measured, maps of no image, too.
    """
    wrong: dict[str, list[str]] = defaultdict(list)
    ids, shape, digest = [], None, hashlib.sha256()
    for index in tqdm(images, desc="maps", unit="map"):
        image_id = str(record_id(source.records[index], index))
        ids.append(image_id)
        if image_id not in given.ids:
            wrong["no map"].append(image_id)
            continue
        try:
            (array,) = given.read([image_id])
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            wrong["cannot be read"].append(f"{image_id} ({error})")
            continue
        shape = array.shape if shape is None else shape
        if problem := find_problem(array, shape):
            wrong[problem].append(image_id)
        digest.update(image_id.encode() + np.ascontiguousarray(array).tobytes())
    if len(images) == len(source) and (extra := given.ids - set(ids)):
        wrong["of no image of the split"] += sorted(extra)
    if wrong:
        told = "; ".join(f"{problem}: {_list(names)}" for problem, names in wrong.items())
        raise InputError(
            f"evaluation.maps: {given.place} does not fit {source.name}, split {source.split}: {escape(told)}. "
            "Expected a map [h w] in 0..1 for each image, by its id in the rows."
        )
    return digest.hexdigest()


def find_problem(array: np.ndarray, shape: tuple[int, ...]) -> str:
    """Return what is wrong with a map, in words; empty if nothing is."""
    checks: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("not numbers", lambda: array.dtype.kind not in "fiub"),
        (f"not [h w] as the first, {list(shape)}", lambda: array.ndim != 2 or array.shape != shape or not array.size),
        ("NaN or infinities", lambda: not np.isfinite(array).all()),
        ("out of 0..1", lambda: bool(array.min() < -1e-6 or array.max() > 1 + 1e-6)),
    )
    return next((words for words, is_so in checks if is_so()), "")


def _list(names: Sequence[str]) -> str:
    """Return the first names, and how many there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
