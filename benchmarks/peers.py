"""Every map and metric that pytorch-grad-cam, torch-cam, captum and Quantus share with us: difference, reason, time.

    python -m benchmarks.peers          (make peers)

The same network, ResNet-18 pooled by CA-Stream with seeded random weights, and the same photographs, for both, on the
CPU in float32. A difference above 1e-3 has a reason, which is shown: their definition is computed with our network,
feature maps and gradients, and the difference from theirs is in the next column. Ends with exit code 1 if one is not.
Libraries that are not installed are left out, with a word.

Works take turns, ours compiled beforehand; a ratio is the median of the rounds' ratios. Prints Markdown and writes
benchmarks/peers.json.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import jax

from castream_jax.cpu import count_cores

RESULTS = Path(__file__).parent / "peers.json"
LIBRARIES = {
    "pytorch_grad_cam": ("grad-cam", "benchmarks.peer_grad_cam"),
    "torchcam": ("torchcam", "benchmarks.peer_torchcam"),
    "captum": ("captum", "benchmarks.peer_captum"),
    "quantus": ("quantus", "benchmarks.peer_quantus"),
}
"""By the name it is imported by: what it is installed by, and the module that knows what it shares with us."""
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
        print(f"peers skipped: {', '.join(missing)} not installed. To install: pip install -e '.[dev,peers]'")
        return 0
    import torch

    from tests.torch_models import import_torchvision

    import_torchvision()
    torch.set_num_threads(count_cores())
    from benchmarks.bench import machine, photographs
    from benchmarks.peer_ours import Measured
    from benchmarks.peer_trial import HEADER, Row, create_pair, try_out

    found = {name: version(package) for package, _ in LIBRARIES.values() for name in [package]}
    versions = {name: importlib.metadata.version(name) for name in PACKAGES} | found
    said = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    load = [os.getloadavg()[0]]
    print(f"{machine()}; Python {platform.python_version()}, {said}; load before: {load[0]:.1f}\n")
    pair = create_pair(photographs(IMAGES, SIZE))
    measured = Measured(pair.at(photographs(IMAGES, SMALL)))
    rows: list[Row] = []
    reasons: list[str] = []
    modules = []
    for name, (package, module) in LIBRARIES.items():
        if importlib.util.find_spec(name) is None:
            print(f"{package} skipped: not installed. To install: pip install -e '.[dev,peers]'\n")
        else:
            modules.append(importlib.import_module(module))
    lists = {
        "Maps": [module.list_maps(pair) for module in modules if hasattr(module, "list_maps")],
        "Metrics": [module.list_metrics(measured) for module in modules if hasattr(module, "list_metrics")],
    }
    for title, trials in lists.items():
        print(f"### {title}\n\n{HEADER}", flush=True)
        for trial in (one for some in trials for one in some):
            row = try_out(trial)
            if row.reason and row.reason not in reasons:
                reasons.append(row.reason)
            rows.append(row)
            print(row.to_line(str(reasons.index(row.reason) + 1) if row.reason else ""), flush=True)
        print()
    print("\n".join(f"{number}. {reason}" for number, reason in enumerate(reasons, 1)))
    remarks = [module.describe_kinks(pair) for module in modules if hasattr(module, "describe_kinks")]
    for remark in remarks:
        print(f"\n{remark}")
    for row in rows:
        if row.failure:
            print(f"\n{row.what}, {row.peer}, ended in {row.failure}")
    load.append(os.getloadavg()[0])
    results = {
        "rows": [asdict(row) for row in rows],
        "remarks": remarks,
        "machine": machine(),
        "versions": versions,
        "load": load,
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{RESULTS.name}, after {time.perf_counter() - began:.0f} s; load average after: {load[1]:.1f}")
    unexplained = [f"{row.what}, {row.peer}" for row in rows if not row.is_explained]
    if unexplained:
        print(f"no reason is shown for: {'; '.join(unexplained)}")
    return int(bool(unexplained))


def version(package: str) -> str:
    """Return the version of a package, empty if it is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
