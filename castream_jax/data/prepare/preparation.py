"""What preparing a dataset would do: known, and said, before it is done."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from castream_jax.errors import InputError
from castream_jax.storage.locking import alone_in


@dataclass(frozen=True)
class Plan:
    """A dataset to make."""

    name: str
    """What `open_source` opens it by."""
    path: Path
    """Where it will be. This folder exists only when everything in it is complete."""
    origin: str
    """What it is made from, in a line that a finished one keeps; empty where the name says it all."""
    needs: int | None
    """Bytes of disk that are still to be filled; None where nobody states them."""
    make: Callable[[], None]
    """Makes it; interrupted at any point and called again, it goes on or starts afresh."""
    counted: str = ""
    """What takes these bytes, where they are an estimate; in words."""


def carry_out(plan: Plan, skip_disk_check: bool = False) -> None:
    """Make a dataset, after saying where it goes and how much disk it takes.

    Args:
      plan: the dataset.
      skip_disk_check: begin though it does not seem to fit, as where the disk compresses.

    Raises:
      InputError: it does not fit, another process is making it, or a file cannot be read or written.
    """
    free = shutil.disk_usage(nearest_folder(plan.path)).free
    needs = "its makers do not state its size" if plan.needs is None else f"needs {as_gigabytes(plan.needs)} of disk"
    counted = f" ({plan.counted})" if plan.counted else ""
    print(f"making {plan.name} in {plan.path}\n{needs}{counted}; {as_gigabytes(free)} are free", flush=True)
    if plan.needs is not None and plan.needs > free and not skip_disk_check:
        raise InputError(
            f"{plan.name} needs {as_gigabytes(plan.needs)} of disk{counted}, and {plan.path} has {as_gigabytes(free)} "
            "free: make room, or name another place with --directory=DIR. --skip_disk_check begins all the same."
        )
    with alone_in(plan.path.parent, "preparing a dataset"):
        try:
            plan.make()
        except OSError as error:
            raise InputError(f"{plan.name} cannot be made: {error}. The same command goes on.") from error


def nearest_folder(path: Path) -> Path:
    """Return the deepest folder above a path that exists."""
    return next(folder for folder in path.absolute().parents if folder.is_dir())


def as_gigabytes(size: int) -> str:
    """Word a number of bytes."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
