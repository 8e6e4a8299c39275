"""Ours beside torch and pytorch-grad-cam: time, and where the definitions agree the largest difference of outputs.

    python -m benchmarks.bench [--quick]          (make bench, make bench QUICK=1)

On the CPU, float32 unless a row says bfloat16, the same seeded weights and photographs, 224 pixels. torch has as many
threads as there are cores, ours a device for each, as in evaluate.py. Works take turns, every other round backwards; a
ratio is the median over the rounds of the rounds' ratios. Prints Markdown and writes benchmarks/results.json. Takes
6 GiB of memory at once, for both sides (`allocation.py`). Without torch, torchvision or pytorch-grad-cam it says so
and ends well. --quick: fewer rounds, channels and images, and only ResNet-50 in float32 compiled by torch.

torch's threads sleep while they wait (OMP_WAIT_POLICY=PASSIVE, unless it is set): where they spin, as they do by
default, any other work on the machine slows torch several times, and ratios would flatter ours. Run it on a quiet
machine all the same; the load is printed before and after.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import numpy as np
import skimage.data
from PIL import Image

from benchmarks.allocation import keep_freed_memory
from castream_jax.cpu import use_cores_as_devices
from castream_jax.models.classifier import IMAGENET

RESULTS = Path(__file__).parent / "results.json"
NEEDED = ("torch", "torchvision", "timm", "pytorch_grad_cam", "pytest")
PACKAGES = ("castream-jax", "jax", "jaxlib", "flax", "torch", "torchvision", "timm", "grad-cam", "numpy")
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
SIZE = 224
OTHER = "efficientnet_lite0"
"""Another network whose Score-CAM is measured, GAP alone."""


@dataclass(frozen=True)
class Plan:
    """How much is done."""

    forwards: tuple[tuple[str, str, int, bool], ...]
    """Network, dtype, batch, and whether torch compiles it too."""
    forward_rounds: int
    grad_cam_images: int
    grad_cam_rounds: int
    channels: int
    images: int
    """Of Score-CAM, insertion and deletion."""
    score_cam_rounds: int
    measure_rounds: int
    """Of insertion and deletion."""
    overhead_channels: int
    overhead_rounds: int
    chunk: int = 16
    """Masked images in one pass of Score-CAM, for ours and torch's: pytorch-grad-cam's default, and on a CPU faster
    for both than 64."""


FULL = Plan(
    forwards=(
        ("resnet50", "float32", 8, True),
        ("resnet50", "bfloat16", 8, True),
        ("efficientnet_lite0", "float32", 8, True),
        ("convnext_base", "float32", 8, True),
        ("convnext_base", "bfloat16", 8, True),
    ),
    forward_rounds=9,
    grad_cam_images=8,
    grad_cam_rounds=15,
    channels=2048,
    images=2,
    score_cam_rounds=2,
    measure_rounds=5,
    overhead_channels=64,
    overhead_rounds=5,
)
QUICK = Plan(
    forwards=(
        ("resnet50", "float32", 8, True),
        ("resnet50", "bfloat16", 8, False),
        ("efficientnet_lite0", "float32", 8, False),
        ("convnext_base", "float32", 4, False),
        ("convnext_base", "bfloat16", 4, False),
    ),
    forward_rounds=6,
    grad_cam_images=8,
    grad_cam_rounds=7,
    channels=32,
    images=2,
    score_cam_rounds=3,
    measure_rounds=3,
    overhead_channels=32,
    overhead_rounds=3,
)


def photographs(count: int, size: int = SIZE) -> np.ndarray:
    """Return normalised photographs, squashed, the later ones mirrored."""
    pixels = [np.asarray(Image.fromarray(getattr(skimage.data, name)()).resize((size, size))) for name in PHOTOS]
    pixels += [image[:, ::-1] for image in pixels]
    return np.asarray(IMAGENET(np.stack(pixels[:count])))


def machine() -> str:
    """Return what this runs on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {models[0] if models else platform.processor()}, {platform.system()}"


def main(plan: Plan) -> None:
    """Print the tables and write the results."""
    began = time.perf_counter()
    kept = keep_freed_memory()
    jax.config.update("jax_platforms", "cpu")
    use_cores_as_devices(math.gcd(plan.grad_cam_images, *(batch for _, _, batch, _ in plan.forwards)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported
    import torch

    from tests.torch_models import import_torchvision

    import_torchvision()  # before anything else does: it declares what a torchvision built for CUDA lacks here
    from benchmarks import comparison, explanations, forward_pass, overhead, score_cams

    torch.set_num_threads(os.cpu_count() or 1)
    versions = {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()}
    print(f"{machine()}; {', '.join(f'{name} {version}' for name, version in versions.items())}")
    load = [os.getloadavg()[0]]
    waiting = os.environ["OMP_WAIT_POLICY"]
    print(f"{jax.device_count()} devices for ours; load before: {load[0]:.1f}; OMP_WAIT_POLICY={waiting}; {kept}\n")
    print(comparison.HEADER, flush=True)
    rows: list[comparison.Comparison] = []

    def show(found: list[comparison.Comparison]) -> None:
        rows.extend(found)
        print("\n".join(map(comparison.to_line, found)), flush=True)

    for name, dtype, batch, compiled in plan.forwards:
        show(forward_pass.compare_forward(name, photographs(batch), dtype, plan.forward_rounds, compiled))
    eager = [row for row in rows if "resnet50, float32" in row.work and "eager" in row.peer]
    fastest = min(eager, key=lambda row: row.peer_s).peer.removesuffix(" (best)").removeprefix("torch ")
    pair = explanations.create_pair(photographs(plan.grad_cam_images), fastest)
    show(explanations.compare_grad_cam(pair, plan.grad_cam_rounds))
    images = max(plan.images, jax.device_count())
    show(score_cams.compare_score_cam(pair, images, plan.channels, plan.chunk, plan.score_cam_rounds))
    show(
        score_cams.compare_score_cam_of(
            OTHER, photographs(images), min(plan.channels, 1280), plan.chunk, plan.score_cam_rounds, plan is FULL
        )
    )
    show(explanations.compare_insertion_and_deletion(pair, images, plan.measure_rounds))
    print(
        "\nThe last rows are of ResNet-50 where they name no other. pytorch-grad-cam runs as it is installed, in NCHW, "
        f"and in channels_last; torch's loops run {fastest}. pytorch-grad-cam's Score-CAM weighs by a softmax of "
        "logits over channels: only times compare.\n"
        "Differences: of logits, as a share of the largest; of maps in 0..1; of probabilities on the "
        "curves.\n"
    )
    print(overhead.HEADER, flush=True)
    overheads = overhead.measure_overhead(pair, plan.overhead_channels, images, plan.chunk, plan.overhead_rounds)
    print("\n".join(row.to_line() for row in overheads))
    load.append(os.getloadavg()[0])
    results = {
        "rows": [row.to_dict() for row in rows],
        "overhead": [asdict(row) for row in overheads],
        "machine": machine(),
        "versions": versions,
        "load": load,
        "omp_wait_policy": waiting,
        "malloc": kept,
        "quick": plan is QUICK,
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{RESULTS}, after {time.perf_counter() - began:.0f} s; load average after: {load[1]:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under 6 minutes on 2 cores")
    options = parser.parse_args()
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        print(f"bench skipped: {', '.join(missing)} not installed. To install: pip install -e '.[dev,bench]'")
    else:
        main(QUICK if options.quick else FULL)
