"""What a finished run was: `<workdir>/summary.json`."""

import json
import resource
import sys
from pathlib import Path
from typing import Any

import jax

from castream_jax.storage.replacement import replacing

NAME = "summary.json"


def write_summary(workdir: Path, summary: dict[str, Any]) -> None:
    """Write a run's summary, whole or not at all; of many processes, only the first one writes."""
    if jax.process_index() == 0:
        with replacing(workdir / NAME) as path:
            path.write_text(json.dumps(summary, indent=2) + "\n")


def read_summary(workdir: Path) -> dict[str, Any]:
    """Return a run's summary, empty if there is none that can be read."""
    try:
        return dict(json.loads((workdir / NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def peak_memory() -> int:
    """Return the most bytes that one device of this process has held so far; on a CPU, the whole process."""
    used = [(device.memory_stats() or {}).get("peak_bytes_in_use", 0) for device in jax.local_devices()]
    if jax.default_backend() != "cpu" and max(used):
        return max(used)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
