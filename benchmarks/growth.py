"""How time and memory of an evaluation grow with images, devices, channels and resolution.

    python -m benchmarks.growth runs/demo [--plot docs/images/growth.png]

Three sizes each. Images and devices: `evaluate.py` on the trained demo in a process of its own; its memory is the
process's largest. Devices are virtual ones, which share the cores: they show what is duplicated, not a speed-up.
Channels and pixels: compiled Score-CAM for GAP and CA of an untrained ResNet-18; times are medians of rounds in which
sizes take turns, and memory is what XLA plans for temporary arrays. An exponent is the slope of the line through the
logarithms: 1 is proportional, 0 constant. A process has a fixed part (start, compilation, accuracy), so its exponents
are below those of the work alone.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from matplotlib.figure import Figure

import castream_jax as ca
from benchmarks.interleaved import interleave
from benchmarks.score_cam import compute_score_cam

IMAGES, DEVICES, CHANNELS, PIXELS = (64, 128, 256), (1, 2, 4), (128, 256, 512), (64, 96, 128)
CHUNK, ROUNDS = 16, 7


@dataclass(frozen=True)
class Growth:
    """What each size of one quantity takes."""

    quantity: str
    sizes: Sequence[int]
    seconds: Sequence[float]
    megabytes: Sequence[float]

    def exponent(self, numbers: Sequence[float]) -> float:
        """Return the slope of the line through the logarithms."""
        return float(np.polyfit(np.log(self.sizes), np.log(numbers), 1)[0])

    def to_line(self) -> str:
        """Return a row of the Markdown table under `HEADER`."""
        cells = [self.quantity, ", ".join(f"{size:,}" for size in self.sizes)]
        for numbers in (self.seconds, self.megabytes):
            cells += [
                ", ".join(f"{number:,.0f}" if number >= 1000 else f"{number:.3g}" for number in numbers),
                f"{self.exponent(numbers):.2f}",
            ]
        return f"| {' | '.join(cells)} |"


HEADER = "| quantity | sizes | seconds | exponent | MB | exponent |\n|---|---|---|---:|---|---:|"


def run_evaluation(workdir: Path, images: int, devices: int) -> tuple[float, float]:
    """Return the seconds and the largest megabytes of evaluating images of the demo in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(workdir / "checkpoints", Path(scratch) / "demo" / "checkpoints")
        command = [sys.executable, "evaluate.py", "--config=configs/demo.py", f"--workdir={scratch}/demo"]
        command.append(f"--config.evaluation.num_images={images}")
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}".strip()
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=os.environ | {"XLA_FLAGS": flags}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"evaluate.py failed:\n{said.decode()[-2000:]}")
        return time.perf_counter() - began, _kilobytes(usage) / 1e3


def _kilobytes(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1000 if sys.platform == "darwin" else usage.ru_maxrss * 1.024


def measure_processes(workdir: Path) -> list[Growth]:
    """Return how the evaluation of the demo grows with images, and with devices."""
    run_evaluation(workdir, IMAGES[0], 1)  # what the system reads once
    of_images = [run_evaluation(workdir, images, 1) for images in IMAGES]
    of_devices = [of_images[0], *(run_evaluation(workdir, IMAGES[0], devices) for devices in DEVICES[1:])]
    return [
        Growth(name, sizes, *zip(*found, strict=True))
        for name, sizes, found in (("images", IMAGES, of_images), ("virtual devices", DEVICES, of_devices))
    ]


def compile_score_cam(model: ca.Classifier, pixels: int, channels: int):
    """Return compiled Score-CAM of one image, of the first channels."""
    graphdef, state = nnx.split(model)

    @jax.jit
    def run(state: nnx.State, images: jax.Array) -> jax.Array:
        labels = jnp.zeros(len(images), jnp.int32)
        return compute_score_cam(nnx.merge(graphdef, state), images, labels, channels, CHUNK)[0]

    images = jax.random.normal(jax.random.key(0), (1, pixels, pixels, 3))
    program = run.lower(state, images).compile()
    return lambda: program(state, images), program.memory_analysis().temp_size_in_bytes / 1e6


def measure_programs() -> list[Growth]:
    """Return how Score-CAM grows with channels, and with pixels."""
    model = ca.create_model("resnet18", "ca", num_classes=10)
    kinds = {
        "channels": {size: compile_score_cam(model, 96, size) for size in CHANNELS},
        "pixels": {size**2: compile_score_cam(model, size, 128) for size in PIXELS},
    }
    found = []
    for quantity, programs in kinds.items():
        times = interleave({str(size): work for size, (work, _) in programs.items()}, ROUNDS)
        seconds = [float(np.median(times[str(size)])) for size in programs]
        found.append(Growth(quantity, tuple(programs), seconds, [memory for _, memory in programs.values()]))
    return found


def draw(rows: Sequence[Growth], path: Path) -> None:
    """Plot time and memory of each quantity, measured and fitted, on logarithmic axes."""
    figure = Figure(figsize=(2.6 * len(rows), 4.4), layout="constrained")
    panels = figure.subplots(2, len(rows), sharey="row", squeeze=False)
    for row, column in zip(rows, panels.T):
        for axes, numbers, unit in zip(column, (row.seconds, row.megabytes), ("seconds", "MB")):
            slope, level = np.polyfit(np.log(row.sizes), np.log(numbers), 1)
            axes.loglog(row.sizes, np.exp(level) * np.array(row.sizes, float) ** slope, color="#999999", linewidth=1)
            axes.loglog(row.sizes, numbers, "o", color="#0a5fa8")
            axes.set_xticks(row.sizes, [f"{size:,}" for size in row.sizes])
            axes.minorticks_off()
            axes.set(title=f"exponent {slope:.2f}", xlabel=row.quantity, ylabel=unit if row is rows[0] else "")
            axes.grid(color="#dddddd", linewidth=0.5)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path, help="of the trained demo")
    parser.add_argument("--plot", type=Path, help="a PNG to draw")
    options = parser.parse_args()
    if not (options.workdir / "checkpoints").is_dir():
        parser.error(f"{options.workdir} has no checkpoints: run `make demo` first.")
    rows = [*measure_processes(options.workdir), *measure_programs()]
    print(HEADER)
    print("\n".join(row.to_line() for row in rows))
    if options.plot:
        draw(rows, options.plot)


if __name__ == "__main__":
    main()
