"""Checkpoints of a stage: the whole model and the optimizer, each with a digest that is checked on restore.

A checkpoint holds two trees: `model`, every array of the network, so that it can be read by itself, and
`training`, the optimizer's state. Its step is the number of steps taken.
"""

import contextlib
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from etils import epath
from orbax.checkpoint import v1 as orbax

from castream_jax.compute.sharding import anywhere
from castream_jax.errors import InputError, RunError
from castream_jax.failures import shorten
from castream_jax.storage.array_trees import digest, flatten, hollow, unflatten
from castream_jax.storage.limits import check_file_size

log = logging.getLogger(__name__)

KEPT = 2
CLEARINGS = 20
"""Times, a tenth of a second apart, that what a failed save has left is removed: its other writers end when they do."""


class Checkpoints:
    """The checkpoints in one directory, newest last; use as a context manager, which waits for saves to end."""

    def __init__(self, directory: Path, writes: bool = False):
        """Open a directory; only a run that `writes` may clean up what a save that was killed has left."""
        self.directory = directory
        self._saving, self._problem, self._reported = 0, "", False
        self._checkpointer = orbax.training.Checkpointer(
            epath.Path(directory.resolve()),
            preservation_policy=orbax.training.preservation_policies.LatestN(KEPT),
            cleanup_tmp_directories=writes,
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()
        with contextlib.suppress(Exception):  # the rest of a failed save, which was reported
            self._checkpointer.close()
        if self._problem:
            self._clear()

    def check_limits(self, trees: dict[str, Any]) -> None:
        """Raise `RunError` if this process may not write files as large as these trees are, all in one."""
        check_file_size(sum(leaf.nbytes for leaf in jax.tree.leaves(trees)), f"checkpoints in {self.directory}")

    def save(self, step: int, trees: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Save named trees of arrays after `step` steps, in the background; nothing if that step is there.

        A save that fails, now or in the background, leaves older checkpoints as they are and is reported by the log;
        `finish` tells whether one succeeded.
        """
        self._wait()
        if step in self.steps():
            return
        # Copies: the arrays are donated to the next step while the save is still under way.
        flat = {name: flatten(jax.tree.map(np.array, tree)) for name, tree in trees.items()}
        described = metadata | {"digests": {name: digest(arrays) for name, arrays in flat.items()}}
        described["digest_of_this"] = digest_text(described)
        self._saving, self._problem, self._reported = step, "", False
        try:
            self._checkpointer.save_checkpointables_async(step, flat, force=True, custom_metadata=described)
        except Exception as error:  # as in `_wait`
            self._report(error)

    def finish(self, step: int) -> None:
        """Wait until the checkpoint of a step is saved.

        Raises:
          RunError: it could not be saved; names the last good one.
        """
        self._wait(quietly=True)
        if step not in self.steps():
            raise RunError(
                f"the checkpoint after step {step} could not be saved ({self._problem}). {self.last_good()} Make room "
                "and run the same command again."
            )

    def last_good(self) -> str:
        """Return a sentence that names the newest checkpoint."""
        steps = self.steps()
        if not steps:
            return f"There is no checkpoint in {self.directory} yet."
        return f"The last good checkpoint is {self.directory / str(steps[-1])}."

    def _wait(self, quietly: bool = False) -> None:
        """Wait for the save under way, and report its failure."""
        try:
            self._checkpointer.wait()
        except Exception as error:  # storage raises whatever its writer stumbles on
            self._report(error, quietly)

    def _report(self, error: Exception, quietly: bool = False) -> None:
        """Log once that the save under way failed, and free what it had written."""
        self._problem = self._problem or shorten(error)
        self._clear()
        if not (quietly or self._reported):
            log.error(
                "the checkpoint after step %s could not be saved (%s). %s",
                self._saving,
                self._problem,
                self.last_good(),
            )
        self._reported = True

    def _clear(self) -> None:
        """Remove what a failed save has left."""
        for rest in self.directory.glob(f"{self._saving}.*tmp*"):
            for _ in range(CLEARINGS):
                shutil.rmtree(rest, ignore_errors=True)
                if not rest.exists():
                    break
                time.sleep(0.1)

    def steps(self) -> list[int]:
        """Return the steps that are saved, oldest first."""
        return sorted(checkpoint.step for checkpoint in self._checkpointer.checkpoints)

    def describe(self, name: str) -> dict[str, np.ndarray] | None:
        """Return arrays of no memory like a tree's leaves in the newest checkpoint that holds it, by dotted path."""
        for step in reversed(self.steps()):
            leaves = self._checkpointer.checkpointables_metadata(step).metadata[name]
            if leaves is not None:
                return {key: hollow(leaf) for key, leaf in leaves.items()}
        return None

    def read_metadata(self) -> dict[str, Any]:
        """Return what the newest checkpoint that says it whole says of itself; nothing if there is none."""
        for step in reversed(self.steps()):
            metadata = self._checkpointer.checkpointables_metadata(step).custom_metadata or {}
            if not check_text(metadata):
                return metadata
        return {}

    def restore(
        self,
        abstract: dict[str, Any],
        set_aside: bool = False,
        check: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> tuple[int, dict[str, Any], dict[str, Any]] | None:
        """Return (step, trees of numpy arrays, metadata) of the newest checkpoint that is whole, or None.

        Args:
          abstract: the named trees wanted, with shapes and dtypes.
          set_aside: move damaged checkpoints to `<directory>-damaged/`: here they would hide later saves.
          check: given the metadata before arrays are read; what it raises goes to the caller.

        A checkpoint that cannot be read, or whose digest differs, is passed over with a warning. Many processes pass
        over the same ones.

        Raises:
          InputError: the newest whole checkpoint is of another network.
          RunError: there are checkpoints, and none of them is whole.
        """
        wanted = {name: {key: hollow(leaf) for key, leaf in flatten(tree).items()} for name, tree in abstract.items()}
        damaged: list[int] = []
        for step in reversed(self.steps()):
            trees, metadata, problem = self._read(step, wanted, check)
            if not anywhere(bool(problem)):
                if set_aside:
                    self._set_aside(damaged)
                return step, {name: unflatten(abstract[name], trees[name]) for name in abstract}, metadata
            problem = problem or "another process cannot read it"
            log.warning("checkpoint %s/%d is damaged (%s)", self.directory, step, problem)
            damaged.append(step)
        if damaged:
            raise RunError(
                f"no checkpoint in {self.directory} can be read; of the newest: {problem}. To start over, move this "
                "directory away."
            )
        return None

    def _read(
        self, step: int, wanted: dict[str, Any], check: Callable[[dict[str, Any]], None]
    ) -> tuple[dict[str, Any], dict[str, Any], str]:
        """Return a checkpoint's arrays by tree and dotted path, its metadata, and what is wrong with it."""
        try:
            saved = self._checkpointer.checkpointables_metadata(step)
            metadata = saved.custom_metadata
            if problem := check_text(metadata):
                return {}, {}, problem
            if unreadable := [name for name in wanted if saved.metadata[name] is None]:
                return {}, {}, f"what it says of {', '.join(unreadable)} cannot be read"
            check(metadata)
            _check_shapes(wanted, saved.metadata, self.directory)
            found = self._checkpointer.load_checkpointables(step, wanted)
            wrong = [name for name in found if digest(found[name]) != metadata["digests"][name]]
            return found, metadata, f"digest of {', '.join(wrong)} differs" if wrong else ""
        except (InputError, MemoryError):
            raise
        except Exception as error:  # a damaged file raises whatever its reader stumbles on
            return {}, {}, shorten(error)

    def _set_aside(self, steps: list[int]) -> None:
        """Move checkpoints out of the directory, under names that are not taken."""
        if not steps:
            return
        place = self.directory.with_name(f"{self.directory.name}-damaged")
        for step in steps if jax.process_index() == 0 else ():
            place.mkdir(exist_ok=True)
            taken = len(list(place.glob(f"{step}*")))
            (self.directory / str(step)).rename(place / (f"{step}-{taken}" if taken else str(step)))
        anywhere(False)  # wait for the first process
        self._checkpointer.reload()


def read_model(directory: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of the newest whole checkpoint in a directory, by dotted path, and what it says of itself.

    Args:
      directory: a stage's checkpoints, or a work directory, whose stream is preferred to its backbone.

    Raises:
      InputError: there is no whole checkpoint.
    """
    places = [directory / "checkpoints" / stage for stage in ("stream", "backbone")]
    for place in (*places, directory):
        if not place.is_dir() or not any(child.name.isdigit() for child in place.iterdir()):
            continue
        with Checkpoints(place) as checkpoints:
            abstract = checkpoints.describe("model")
            restored = checkpoints.restore({"model": abstract}) if abstract else None
        if restored:
            return {name: np.asarray(array) for name, array in restored[1]["model"].items()}, restored[2]
    raise InputError(f"there is no checkpoint of ours in {directory}: expected a --workdir, or its checkpoints/stream.")


def _check_shapes(wanted: dict[str, dict[str, Any]], found: Any, directory: Path) -> None:
    """Raise `InputError` if a checkpoint holds other arrays than those wanted: it is of another network."""
    for name, leaves in wanted.items():
        there = {key: f"{np.dtype(leaf.dtype)}{[*leaf.shape]}" for key, leaf in found[name].items()}
        expected = {key: f"{leaf.dtype}{[*leaf.shape]}" for key, leaf in leaves.items()}
        if there != expected:
            different = sorted(key for key in there | expected if there.get(key) != expected.get(key))
            raise InputError(
                f"the checkpoint in {directory} is of another network or optimizer: {len(different)} arrays differ, "
                f"first {different[0]}: {there.get(different[0])} there, {expected.get(different[0])} here. "
                "Use another --workdir, or the config it was trained with."
            )


def digest_text(metadata: dict[str, Any]) -> str:
    """Return the sha256 over what a checkpoint says of itself."""
    said = {key: value for key, value in metadata.items() if key != "digest_of_this"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def check_text(metadata: dict[str, Any]) -> str:
    """Return what is wrong with what a checkpoint says of itself, or nothing."""
    return "" if metadata.get("digest_of_this") == digest_text(metadata) else "digest of its description differs"
