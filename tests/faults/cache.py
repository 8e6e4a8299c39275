"""Damages each file of kept compiled programs in turn: what is computed stays the same."""

import collections
import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from castream_jax.storage.compiled_programs import Record, keep_compiled_programs

LAYOUT = ("NHWC", "HWIO", "NHWC")
HIT = "/jax/compilation_cache/cache_hits"


def damages(content: bytes, places: int) -> Iterator[tuple[str, bytes]]:
    """Yield kinds of damage and what a file is then: a bit flipped, and the rest cut off, at each of some places."""
    for i in range(places):
        place = len(content) * i // places
        yield "flipped", content[:place] + bytes([content[place] ^ 1 << i % 8]) + content[place + 1 :]
        yield "cut", content[:place]


class Computation:
    """What convolutions, attention and their gradients give: programs that are compiled, kept and found again."""

    def __init__(self, keep: Callable[[Path], Record | None] = keep_compiled_programs):
        """`keep`: lets JAX keep programs in a directory."""
        self._keep = keep
        self._hits: collections.Counter = collections.Counter()
        jax.monitoring.register_event_listener(lambda event, **_: self._hits.update([event]))
        random = np.random.default_rng(0)
        self._arguments = [
            random.normal(size=size).astype(np.float32) for size in ((3, 3, 3, 8), (8, 8), (2, 16, 16, 3))
        ]
        self._programs = (score, jax.grad(score, argnums=(0, 1)), lambda *_: jnp.sort(_[2], axis=1))

    def run(self, directory: Path) -> tuple[str, int]:
        """Return the sha256 of all that is computed as a new process would, and how many programs were found kept."""
        jax.clear_caches()
        compilation_cache.reset_cache()
        record = self._keep(directory)
        self._hits.clear()
        found = hashlib.sha256()
        for program in self._programs:
            for array in jax.tree.leaves(jax.jit(program)(*self._arguments)):
                found.update(np.asarray(array).tobytes())
        if record:
            record.add_new()
        return found.hexdigest(), self._hits[HIT]


def score(kernel: jax.Array, query: jax.Array, images: jax.Array) -> jax.Array:
    """Return a number that everything goes into."""
    features = jax.nn.relu(jax.lax.conv_general_dilated(images, kernel, (2, 2), "SAME", dimension_numbers=LAYOUT))
    tokens = features.reshape(len(images), -1, kernel.shape[-1])  # [B N C]
    attention = jax.nn.softmax(tokens @ query, axis=1)  # [B N C]
    return jnp.einsum("bnc,bnc->bc", attention, tokens).std()


def try_all(computation: Computation, place: Path, places: int, first: int = 0) -> Iterator[tuple[int, str, str]]:
    """Yield the number of each damage from the `first` on, its kind, and how the computation ended.

    `place` holds `whole`, what a run has left in `cache`; JAX finds a program in the same directory only.
    """
    renew(place)
    right, hits = computation.run(place / "cache")
    number = -1
    for file in sorted((place / "whole").glob("*-cache")):
        for kind, content in damages(file.read_bytes(), places):
            number += 1
            if number < first:
                continue
            renew(place)
            (place / "cache" / file.name).write_bytes(content)
            found, kept = computation.run(place / "cache")
            assert kept >= hits - 1, f"{hits - kept} programs were not found, and one was damaged"
            ending = "the same numbers" if found == right else "WRONG NUMBERS"
            if kept < hits:
                again = computation.run(place / "cache")
                ending += ", compiled again, once" if again == (found, hits) else ", compiled again BY EVERY RUN"
            yield number, kind, ending


def renew(place: Path) -> None:
    """Bring `cache` back to what it was."""
    shutil.rmtree(place / "cache", ignore_errors=True)
    shutil.copytree(place / "whole", place / "cache")


def prepare(computation: Computation, place: Path) -> int:
    """Run as `try_all` will, keep what that leaves as `whole`, and return how many programs it holds."""
    computation.run(place / "cache")
    shutil.copytree(place / "cache", place / "whole")
    return len(list((place / "whole").glob("*-cache")))


def main(place: str, places: str, first: str, guarded: str) -> None:
    """Print what `try_all` yields, as one of many processes: a damaged program may end one."""
    computation = Computation(*() if guarded == "guarded" else (keep_unguarded,))
    for number, kind, ending in try_all(computation, Path(place), int(places), int(first)):
        print(f"{number}\t{kind}\t{ending}", flush=True)


def keep_unguarded(directory: Path) -> None:
    """Let JAX keep programs as it does by itself."""
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
