"""Weights: files, folders and addresses, given to `read_weights` and `load_weights`."""

import functools
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import castream_jax as ca
from benchmarks.fuzz import hostile_weights as hostile
from benchmarks.fuzz import weight_files as files
from benchmarks.fuzz.case import Case, Expected, Maker, Reader
from benchmarks.fuzz.mutation import ON_TEXT, Rng, mutate
from benchmarks.fuzz.special_files import NAMES, SPECIAL
from castream_jax.weights.files import read_weights
from tests.weights import archives
from tests.weights.archives import pickled

REAL = Path(archives.__file__).parent / "data"
"""Files that torch wrote."""
KINDS = ("safetensors", "zip", "legacy", "shards")


@functools.cache
def empty_network() -> ca.Classifier:
    """Return the smallest network there is, of zeros: nothing is compiled for it."""
    abstract = nnx.eval_shape(lambda: ca.create_model("resnet18_small", pooling="gap", num_classes=4))
    graphdef, state = nnx.split(abstract)
    return nnx.merge(graphdef, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), state))


@functools.cache
def whole_state() -> files.Arrays:
    """Return weights that fit it, all of them different."""
    rng = np.random.default_rng(1)
    shapes = {name: array.shape for name, array in ca.export_weights(empty_network()).items()}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def has_loaded(expected: files.Arrays) -> Callable[[ca.Classifier], str]:
    """Return the check that a network has these weights."""
    return lambda network: files.same_arrays(ca.export_weights(network), expected)


def are_arrays(found: Any) -> str:
    """Return why something is no state dict; any numbers will do."""
    if not isinstance(found, Mapping):
        return f"a {type(found).__name__}"
    strange = [name for name, array in found.items() if getattr(array, "dtype", np.dtype(object)).kind not in "biufcV"]
    return f"no arrays: {strange[:5]}" if strange else ""


def read_case(source: Path | str, expected: Expected = "either", arrays: files.Arrays | None = None) -> Case:
    """Return the case that reads arrays by name; where they are known, those."""
    check = are_arrays if arrays is None else lambda found: files.same_arrays(found, arrays)
    return Case(lambda: read_weights(str(source)), check, expected)


def load_case(source: Path | str, expected: Expected, weights: files.Arrays | None = None) -> Case:
    """Return the case that fills the network."""
    check = has_loaded(whole_state() if weights is None else weights)
    return Case(lambda: ca.load_weights(empty_network(), source), check, expected)


def of_writer(write: hostile.Writer, expected: Expected = "either", arrays: files.Arrays | None = None) -> Maker:
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


def loaded(write: hostile.Writer) -> Maker:
    """Return the maker of a case whose file does not fit the network."""

    def make(folder: Path, _: Rng) -> Case:
        source = write(folder)
        return Case(lambda: ca.load_weights(empty_network(), source), expected="message")

    return make


BOMBS = {
    f"a list copied by {name}": hostile.copies(function, is_dict=name == "OrderedDict")
    for name, function in hostile.COPY.items()
}
HOSTILE: dict[str, Maker] = {
    **{f"zip pickle: {name}": of_writer(hostile.hostile_zip(name, pickle)) for name, pickle in hostile.PICKLES.items()},
    **{f"zip pickle: {name}": of_writer(hostile.hostile_zip(name, pickle), "message") for name, pickle in BOMBS.items()},
    **{f"legacy pickle: {name}": of_writer(hostile.hostile_legacy(pickle)) for name, pickle in hostile.PICKLES.items()},
    **{f"zip call: {name}": of_writer(hostile.hostile_zip(name, pickled({"a": call})), "message")
       for name, call in hostile.CALLS.items()},
    **{f"legacy pickle: {name}": of_writer(hostile.hostile_legacy(pickle), "message") for name, pickle in BOMBS.items()},
    **{f"legacy call: {name}": of_writer(hostile.hostile_legacy(pickled({"a": call})), "message")
       for name, call in hostile.CALLS.items()},
    **{f"tensor: {name}": of_writer(hostile.hostile_zip(name, pickled({"a": said})))
       for name, said in hostile.TENSORS.items()},
    **{f"archive: {name}": of_writer(write, "message") for name, write in hostile.ARCHIVES.items()},
    **{f"header: {name}": of_writer(write) for name, write in hostile.HEADERS.items()},
    **{f"not of this network: {name}": loaded(write) for name, write in hostile.NAMES_WITHOUT_END.items()},
    **{f"sparse, {name}": of_writer(write) for name, write in hostile.SPARSE_FILES.items()},
    **{f"index: {name}": of_writer(write, "message") for name, write in hostile.INDICES.items()},
    **{f"address {address[:40]!r}": (lambda folder, _, address=address: load_case(address, "message"))
       for address in hostile.ADDRESSES},
    **{f"named {name}": named_so(text, lambda path: path.write_bytes(b"no weights")) for name, text in NAMES.items()},
    **{f"{name}{suffix}": special(make, suffix) for name, make in SPECIAL.items() for suffix in (".pth", ".safetensors")},
}  # fmt: skip


# Damage


def damage_file(folder: Path, rng: Rng) -> Case:
    """Return a case with a damaged file of a few arrays; archives have checksums, so that those must stay right."""
    arrays = files.make_arrays()
    kind = ("safetensors", "zip", "legacy")[rng.integers(3)]
    path = files.write_any(folder / "x", arrays, kind)
    content, how = mutate(path.read_bytes(), rng, files.write_any(folder / "y", hostile.SMALL, kind).read_bytes())
    path.write_bytes(content)

    def check(found: Any) -> str:
        wrong = [files.same_arrays(found, seed) for seed in (arrays, hostile.SMALL)]
        return wrong[0] if all(wrong) else ""

    return Case(lambda: read_weights(str(path)), check if kind == "zip" else are_arrays, name=f"{kind}: {how}")


def damage_real(folder: Path, rng: Rng) -> Case:
    """Return a case with a damaged file of torch's own."""
    seeds = sorted(REAL.glob("*.pth"))
    content, how = mutate(seeds[rng.integers(len(seeds))].read_bytes(), rng, seeds[0].read_bytes())
    path = folder / "x.pth"
    path.write_bytes(content)
    return Case(lambda: read_weights(str(path)), are_arrays, name=f"torch's own: {how}")


def damage_pickle(folder: Path, rng: Rng) -> Case:
    """Return a case whose archive is whole, and its pickle damaged."""
    arrays = files.make_arrays()
    legacy = bool(rng.integers(2))
    said = pickled(files.describe(arrays, legacy))
    pickle, how = mutate(said, rng, pickled(list(hostile.CALLS.values())[rng.integers(len(hostile.CALLS))]))
    path = (files.write_legacy if legacy else files.write_zip)(folder / "x.pth", arrays, pickle or b".")
    return Case(lambda: read_weights(str(path)), are_arrays, name=f"pickle, {'legacy' if legacy else 'zip'}: {how}")


def damage_text(folder: Path, rng: Rng) -> Case:
    """Return a case whose header or index is damaged as text, and of the length that the file says."""
    if rng.integers(2):
        shards = files.write_shards(folder / "x", files.make_arrays())
        text, how = mutate((shards / files.INDEX).read_bytes(), rng, operations=ON_TEXT)
        (shards / files.INDEX).write_bytes(text)
        return Case(lambda: read_weights(str(shards)), are_arrays, name=f"index: {how}")
    content = files.write_safetensors(folder / "x.safetensors", files.make_arrays()).read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    text, how = mutate(content[8 : 8 + size], rng, operations=ON_TEXT)
    path = files.write_raw(folder / "x.safetensors", text, content[8 + size :])
    return Case(lambda: read_weights(str(path)), are_arrays, name=f"header: {how}")


def damage_whole(folder: Path, rng: Rng) -> Case:
    """Return a case with a damaged file of the network's weights, which is loaded."""
    kind = ("zip", "safetensors", "legacy")[rng.integers(3)]
    path = files.write_any(folder / "x", whole_state(), kind)
    content, how = mutate(path.read_bytes(), rng)
    path.write_bytes(content)
    case = load_case(path, "either")
    check = case.check if kind == "zip" else lambda network: are_arrays(ca.export_weights(network))
    return Case(case.read, check, name=f"whole {kind}: {how}")


def damage(folder: Path, rng: Rng) -> Case:
    """Return a case with some damage."""
    kinds = (damage_file, damage_file, damage_real, damage_pickle, damage_pickle, damage_text, damage_text, damage_whole)
    return kinds[rng.integers(len(kinds))](folder, rng)


WEIGHTS = Reader("weights", VALID | HOSTILE, damage, count=600, prepare=lambda: len(whole_state()))


