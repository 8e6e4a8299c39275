"""Every map and metric that pytorch-grad-cam, torch-cam, captum and Quantus share with us: difference, reason, time.

    python -m benchmarks.peers          (make peers)

The same network, ResNet-18 pooled by CA-Stream with seeded random weights, and the same photographs, for both, on the
CPU in float32. A difference above 1e-3 has a reason, which is shown: their definition is computed with our network,
feature maps and gradients, and the difference from theirs is in the next column. Ends with exit code 1 if one is not.
Libraries that are not installed are left out, with a word.

Works take turns, ours compiled beforehand; a ratio is the median of the rounds' ratios. Prints Markdown and writes
benchmarks/peers.json.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import textwrap
import time
import warnings
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import jax

from castream_jax.cpu import count_cores

if TYPE_CHECKING:
    from benchmarks.peer_trial import Row, Trial

wrap = functools.partial(textwrap.fill, width=120, break_long_words=False, break_on_hyphens=False)
RESULTS = Path(__file__).parent / "peers.json"
LIBRARIES = {
    "grad-cam": ("benchmarks.peer_grad_cam", "benchmarks.peer_grad_cam_metrics"),
    "torchcam": ("benchmarks.peer_torchcam",),
    "captum": ("benchmarks.peer_captum",),
    "quantus": ("benchmarks.peer_quantus",),
}
"""By what it is installed by, the modules that know what it shares with us."""
INSTALL = "To install: pip install -e '.[dev,peers]'"
NEEDED = ("torch", "torchvision", "pytest")
PACKAGES = ("castream-jax", "jax", "jaxlib", "torch", "torchvision", "numpy")
IMAGES, SIZE, SMALL = 4, 144, 72
"""Photographs, and their side for maps (5x5 positions) and for metrics, which ask for hundreds of passes: multiples of
what both cut images into."""


def main() -> int:
    """Print the tables, write the results, and return the exit code."""
    began = time.perf_counter()
    jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported
    warnings.simplefilter("ignore")  # of the libraries about each other
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        print(f"peers skipped: {', '.join(missing)} not installed. {INSTALL}")
        return 0
    import torch

    from tests.torch_models import import_torchvision

    import_torchvision()  # before anything else does: it declares what a torchvision built for CUDA lacks here
    torch.set_num_threads(count_cores())
    from benchmarks.bench import machine, photographs
    from benchmarks.peer_ours import Measured
    from benchmarks.peer_trial import create_pair

    modules, versions, load = import_libraries(), list_versions(), [os.getloadavg()[0]]
    said = ", ".join(f"{name} {number}" for name, number in versions.items())
    print(f"{machine()}; {said}; load before: {load[0]:.1f}\n")
    pair = create_pair(photographs(IMAGES, SIZE))
    measured = Measured(pair.at(photographs(IMAGES, SMALL)))
    reasons: list[str] = []
    rows = show("Maps", (trial for module in modules for trial in getattr(module, "list_maps", none)(pair)), reasons)
    rows += show(
        "Metrics", (trial for module in modules for trial in getattr(module, "list_metrics", none)(measured)), reasons
    )
    for number, reason in enumerate(reasons, 1):
        print(wrap(f"{number}. {reason}", subsequent_indent="   "))
    remarks = [module.describe_kinks(pair) for module in modules if hasattr(module, "describe_kinks")]
    remarks += [f"{row.what}, {row.peer}, ended in {row.failure}." for row in rows if row.failure]
    for remark in remarks:
        print(f"\n{wrap(remark)}")
    load.append(os.getloadavg()[0])
    results = {"rows": [asdict(row) for row in rows], "remarks": remarks, "machine": machine(), "load": load}
    RESULTS.write_text(json.dumps(results | {"versions": versions}, indent=1) + "\n")
    print(f"\n{RESULTS.name}, after {time.perf_counter() - began:.0f} s; load average after: {load[1]:.1f}")
    unexplained = [f"{row.what}, {row.peer}" for row in rows if not row.is_explained]
    if unexplained:
        print(f"no reason is shown for: {'; '.join(unexplained)}")
    return int(bool(unexplained))


def none(_: object) -> tuple[()]:
    """Return no trials: what a library shares nothing of."""
    return ()


def import_libraries() -> list[ModuleType]:
    """Return the modules of the libraries that are there, and say which are not."""
    modules = []
    for package, names in LIBRARIES.items():
        try:
            modules += [importlib.import_module(name) for name in names]
        except ImportError as error:
            print(f"{package} skipped: {error}. {INSTALL}\n")
    return modules


def list_versions() -> dict[str, str]:
    """Return the versions of what is there, by name."""
    found = {"Python": platform.python_version()}
    for package in (*PACKAGES, *LIBRARIES):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def show(title: str, trials: Iterable["Trial"], reasons: list[str]) -> list["Row"]:
    """Print a table of what trials found, each as soon as it is there; reasons that are new are added to the others."""
    from benchmarks.peer_trial import HEADER, try_out

    rows = []
    print(f"### {title}\n\n{HEADER}", flush=True)
    for trial in trials:
        row = try_out(trial)
        if row.reason and row.reason not in reasons:
            reasons.append(row.reason)
        rows.append(row)
        print(row.to_line(str(reasons.index(row.reason) + 1) if row.reason else ""), flush=True)
    print()
    return rows


if __name__ == "__main__":
    sys.exit(main())
