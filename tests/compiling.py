"""How tests compile, which is most of what they do: in a hurry, and each program once for all of their processes."""

import functools
import gc
import mmap
import uuid
from pathlib import Path

import jax
import pytest
from jax._src import lru_cache
from jax._src.interpreters import partial_eval

from tests.compiler_flags import FLAGS

MOST_MEMORY = 3 * 2**30
"""Of a process, after a file of tests; programs are far smaller than what compiling leaves behind."""
CACHE = Path(__file__).parent.parent / ".cache"
IN_A_HURRY = {"XLA_FLAGS": FLAGS, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""The environment of a process that compiles so, where a test is not about what a user's own would find."""


def share_programs_of_runs(place: Path) -> None:
    """Let runs whose work directories lie in a directory find what those of other tests have compiled."""
    (CACHE / "runs").mkdir(parents=True, exist_ok=True)
    (place / ".jax_cache").symlink_to(CACHE / "runs")


def compile_in_a_hurry(hurry: bool) -> None:
    """Leave out what makes programs fast, or not: it is half of a compilation, and most programs run once."""
    jax.config.update("jax_disable_most_optimizations", hurry)


def share_programs() -> None:
    """Keep compiled programs for all processes, none of which reads half of one; trace with less effort, too.

    What is private of JAX is left alone where it is no longer there.
    """
    keep_programs_here()
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # thousands of programs take a moment each
    if hasattr(lru_cache.LRUCache, "put"):
        lru_cache.LRUCache.put = put
    if hasattr(partial_eval.DynamicJaxprTracer, "_origin_msg"):
        # Flax asks every traced variable for its sharding, and throws away an error whose text takes JAX most of the
        # time that it takes to create an abstract network.
        partial_eval.DynamicJaxprTracer._origin_msg = lambda _: ""


def keep_programs_here() -> None:
    """Say where programs are kept: a command that a test ran in this process has said something else."""
    jax.config.update("jax_compilation_cache_dir", str(CACHE / "jax"))


def forget_programs() -> None:
    """Let go of what was compiled where a process holds much of it: most of that no later file asks for again."""
    pages = Path("/proc/self/statm")
    if pages.exists() and int(pages.read_text().split()[1]) * mmap.PAGESIZE > MOST_MEMORY:
        jax.clear_caches()
        gc.collect()


def remember_programs(patch: pytest.MonkeyPatch) -> None:
    """Let every training and evaluation of a process take the programs of the one before, if they are equal.

    A run creates its own, as one process has one run. Tests that run again, resume and compare would trace the same
    ones each time, which takes longer than what they are about. Runs of other processes are not touched.
    """
    # Here: what is imported before `conftest` asks for checks of shapes goes unchecked.
    from castream_jax.evaluation import runner
    from castream_jax.experiment import split_accuracy
    from castream_jax.training import stage

    for module, name in (
        (split_accuracy, "create_count_step"),
        (stage, "create_optimizer"),  # the train step goes by it
        (stage, "create_train_step"),
        (runner, "create_evaluate_batch"),
    ):
        patch.setattr(module, name, functools.cache(getattr(module, name)))


def put(cache: lru_cache.LRUCache, key: str, value: bytes) -> None:
    """Keep a program all at once, in place of JAX's way."""
    path = Path(cache.path) / f"{key}-cache"
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    temporary.write_bytes(value)
    temporary.replace(path)
