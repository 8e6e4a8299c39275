"""Damages each file of a checkpoint in turn: restoring gives the right arrays of some step, or says why not."""

import collections
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from castream_jax.errors import InputError, RunError
from castream_jax.storage.array_trees import digest
from castream_jax.storage.checkpoints import Checkpoints

Trees = dict[str, Any]


def damages(content: bytes, flips: int) -> Iterator[tuple[str, bytes | None]]:
    """Yield kinds of damage and what is left of a file, None for nothing."""
    yield "deleted", None
    if not content:
        return
    yield "emptied", b""
    yield "truncated", content[: len(content) // 2]
    for i in range(flips):
        place = len(content) * i // flips
        yield "flipped", content[:place] + bytes([content[place] ^ 1 << i % 8]) + content[place + 1 :]


def try_all(checkpoints: Path, saved: dict[int, Trees], place: Path, flips: int) -> collections.Counter:
    """Return how often each (kind of damage, outcome) was seen.

    Args:
      checkpoints: a directory of checkpoints of two steps; each file of the newer one is damaged in a copy.
      saved: what was saved at each step.
      place: where copies go.
      flips: places of each file in which a bit is flipped.
    """
    newest = max(saved)
    counts: collections.Counter = collections.Counter()
    for file in sorted(path for path in (checkpoints / str(newest)).rglob("*") if path.is_file()):
        for kind, content in damages(file.read_bytes(), flips):
            copy = place / "copy" / "stream"
            shutil.rmtree(copy.parent, ignore_errors=True)
            shutil.copytree(checkpoints, copy)
            damaged = copy / file.relative_to(checkpoints)
            damaged.unlink()
            if content is not None:
                damaged.write_bytes(content)
            counts[kind, outcome(copy, saved)] += 1
    return counts


def outcome(checkpoints: Path, saved: dict[int, Trees]) -> str:
    """Return what restoring from damaged checkpoints ends in."""
    newest = max(saved)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            step = restored_step(checkpoints, saved)
        except (InputError, RunError):
            return "refused"
        if step is None:
            return "nothing restored"
        if step == newest:
            return "the newest checkpoint, unharmed"
        with Checkpoints(checkpoints) as damaged:  # a later save of the damaged step must not be blocked
            damaged.save(newest, saved[newest], {})
        return "the one before" if restored_step(checkpoints, saved) == newest else "BLOCKED"


def restored_step(checkpoints: Path, saved: dict[int, Trees]) -> int | None:
    """Return the step that is restored; AssertionError if its arrays are not those saved."""
    with Checkpoints(checkpoints) as damaged:
        restored = damaged.restore(saved[max(saved)], set_aside=True)
    if restored is None:
        return None
    step, trees, _ = restored
    for name, tree in trees.items():
        assert digest(tree) == digest(saved[step][name]), f"step {step}: wrong arrays in {name}"
    return step
