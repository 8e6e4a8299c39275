"""Weights: files, folders and addresses, given to `read_weights` and `load_weights`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import castream_jax as ca
from benchmarks.fuzz import hostile_pickles as pickles
from benchmarks.fuzz import hostile_tensors as tensors
from benchmarks.fuzz import weight_files as files
from benchmarks.fuzz.case import Case, Expected, Maker, Reader
from benchmarks.fuzz.damaged_weights import damage
from benchmarks.fuzz.mutation import Rng
from benchmarks.fuzz.special_files import NAMES, SPECIAL
from benchmarks.fuzz.weight_reading import empty_network, load_case, read_case, whole_state
from tests.weights.archives import pickled

KINDS = ("safetensors", "zip", "legacy", "shards")


def of_writer(write: pickles.Writer, expected: Expected = "either", arrays: files.Arrays | None = None) -> Maker:
    """Return the maker of a case whose file is written so."""
    return lambda folder, _: read_case(write(folder), expected, arrays)


# What should be read


def loads(kind: str, wrap: Any = lambda state: state, prefix: str = "") -> Maker:
    """Return the maker of a case with the whole network's weights."""

    def make(folder: Path, _: Rng) -> Case:
        named = {f"{prefix}{name}": array for name, array in whole_state().items()}
        return load_case(files.write_any(folder / "weights", named, kind, wrap), "right")

    return make


def converted(change: Callable[[np.ndarray], np.ndarray], expected: Expected) -> Maker:
    """Return the maker of a case with the whole network's weights in another dtype."""

    def make(folder: Path, _: Rng) -> Case:
        changed = {name: change(array) for name, array in whole_state().items()}
        path = files.write_safetensors(folder / "x.safetensors", changed)
        if expected == "message":
            return Case(lambda: ca.load_weights(empty_network(), path), expected=expected)
        return load_case(path, expected, {name: array.astype(np.float32) for name, array in changed.items()})

    return make


def index_itself(folder: Path, _: Rng) -> Case:
    """Return the case that names the index, not the folder."""
    return read_case(files.write_shards(folder / "x", files.make_arrays()) / files.INDEX, "right", files.make_arrays())


OTHERS = {"epoch": 3, "best": 0.5, "optimizer": {"lr": 0.1}, "args": ("a", None), "hyper_parameters": {"x": True}}
WRAPPERS = ("state_dict", "model", "model_sdict", "model_state_dict", "net", "network", "ema", "model_ema")
PREFIXES = ("", "module.", "_orig_mod.", "model.", "backbone.", "encoder.", "module.model.", "_orig_mod.module.")
VALID: dict[str, Maker] = {
    **{f"all dtypes, {kind}": (
        lambda folder, _, kind=kind: read_case(
            files.write_any(folder / "x", files.make_arrays(), kind), "right", files.make_arrays()
        )
    ) for kind in KINDS},
    "the index of shards": index_itself,
    **{f"whole, {kind}": loads(kind) for kind in KINDS},
    **{f"prefix {prefix!r}": loads("safetensors", prefix=prefix) for prefix in PREFIXES},
    **{f"wrapper {name!r}, {kind}": loads(kind, lambda state, name=name: {name: state, **OTHERS})
       for name in WRAPPERS for kind in ("zip", "legacy")},
    "half": converted(lambda array: array.astype(np.float16), "right"),
    "double": converted(lambda array: array.astype(np.float64), "right"),
    "double beyond float32": converted(lambda array: array.astype(np.float64) * 1e300, "message"),
    "complex": converted(lambda array: array + 1j * array, "message"),
    "whole numbers": converted(lambda array: array.astype(np.int8), "either"),
    "truth values": converted(lambda array: array > 0, "either"),
    "NaN": converted(lambda array: array * np.float32(np.nan), "either"),
}  # fmt: skip


# What should be refused, or at least do no harm


def named_so(name: str, write: Callable[[Path], object]) -> Maker:
    """Return the maker of a case whose file has an odd name."""

    def make(folder: Path, _: Rng) -> Case:
        path = folder / f"{name}.safetensors"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
        except OSError:  # no such name here: then the file is not there
            pass
        return read_case(path, "message")

    return make


def special(make_file: Callable[[Path], object], suffix: str) -> Maker:
    """Return the maker of a case whose file is no regular one."""

    def make(folder: Path, _: Rng) -> Case:
        make_file(folder / f"x{suffix}")
        return read_case(folder / f"x{suffix}", "message")

    return make


def loaded(write: pickles.Writer) -> Maker:
    """Return the maker of a case whose file does not fit the network."""

    def make(folder: Path, _: Rng) -> Case:
        source = write(folder)
        return Case(lambda: ca.load_weights(empty_network(), source), expected="message")

    return make


BOMBS = {
    f"a list copied by {name}": pickles.copies(function, is_dict=name == "OrderedDict")
    for name, function in pickles.COPY.items()
}
HOSTILE: dict[str, Maker] = {
    **{f"zip pickle: {name}": of_writer(pickles.in_zip(name, pickle)) for name, pickle in pickles.PICKLES.items()},
    **{f"zip pickle: {name}": of_writer(pickles.in_zip(name, pickle), "message") for name, pickle in BOMBS.items()},
    **{f"legacy pickle: {name}": of_writer(pickles.in_legacy(pickle)) for name, pickle in pickles.PICKLES.items()},
    **{f"zip call: {name}": of_writer(pickles.in_zip(name, pickled({"a": call})), "message")
       for name, call in pickles.CALLS.items()},
    **{f"legacy pickle: {name}": of_writer(pickles.in_legacy(pickle), "message") for name, pickle in BOMBS.items()},
    **{f"legacy call: {name}": of_writer(pickles.in_legacy(pickled({"a": call})), "message")
       for name, call in pickles.CALLS.items()},
    **{f"tensor: {name}": of_writer(pickles.in_zip(name, pickled({"a": said})))
       for name, said in pickles.TENSORS.items()},
    **{f"archive: {name}": of_writer(write, "message") for name, write in pickles.ARCHIVES.items()},
    **{f"header: {name}": of_writer(write) for name, write in tensors.HEADERS.items()},
    **{f"not of this network: {name}": loaded(write) for name, write in tensors.NAMES_WITHOUT_END.items()},
    **{f"sparse, {name}": of_writer(write) for name, write in tensors.SPARSE_FILES.items()},
    **{f"index: {name}": of_writer(write, "message") for name, write in tensors.INDICES.items()},
    **{f"address {address[:40]!r}": (lambda folder, _, address=address: load_case(address, "message"))
       for address in tensors.ADDRESSES},
    **{f"named {name}": named_so(text, lambda path: path.write_bytes(b"no weights")) for name, text in NAMES.items()},
    **{f"{name}{suffix}": special(make, suffix)
       for name, make in SPECIAL.items() for suffix in (".pth", ".safetensors")},
}  # fmt: skip

WEIGHTS = Reader("weights", VALID | HOSTILE, damage, count=600, prepare=lambda: len(whole_state()))
