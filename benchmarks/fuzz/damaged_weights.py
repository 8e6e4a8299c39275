"""Weights that were damaged: whole files, and what checksums would not tell: pickles, headers, indices."""

import struct
from pathlib import Path
from typing import Any

import castream_jax as ca
from benchmarks.fuzz import weight_files as files
from benchmarks.fuzz.case import Case
from benchmarks.fuzz.hostile_pickles import CALLS, SMALL
from benchmarks.fuzz.mutation import ON_TEXT, Rng, mutate
from benchmarks.fuzz.weight_reading import are_arrays, load_case, whole_state
from castream_jax.weights.files import read_weights
from tests.weights import archives
from tests.weights.archives import pickled

REAL = Path(archives.__file__).parent / "data"
"""Files that torch wrote."""


def damage_file(folder: Path, rng: Rng) -> Case:
    """Return a case with a damaged file of a few arrays; archives have checksums, so that those must stay right."""
    arrays = files.make_arrays()
    kind = ("safetensors", "zip", "legacy")[rng.integers(3)]
    path = files.write_any(folder / "x", arrays, kind)
    content, how = mutate(path.read_bytes(), rng, files.write_any(folder / "y", SMALL, kind).read_bytes())
    path.write_bytes(content)

    def check(found: Any) -> str:
        wrong = [files.same_arrays(found, seed) for seed in (arrays, SMALL)]
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
    pickle, how = mutate(said, rng, pickled(list(CALLS.values())[rng.integers(len(CALLS))]))
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
    kinds = (
        damage_file,
        damage_file,
        damage_real,
        damage_pickle,
        damage_pickle,
        damage_text,
        damage_text,
        damage_whole,
    )
    return kinds[rng.integers(len(kinds))](folder, rng)
