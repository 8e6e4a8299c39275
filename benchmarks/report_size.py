"""What the report of an evaluation takes at the size of ImageNet's validation split: time and memory, on made-up rows.

    python -m benchmarks.report_size [--images 2000 10000 50000]

Rows of the default set under GAP and CA: seven maps, four null maps under both poolings, the table's metrics, and
curves of 29 points. Each size is written by `report.writing`, as an evaluation does at its end, in a process of its
own; what it takes to import the package is left out of the time and is in the memory.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

import castream_jax as ca
from castream_jax.attribution.null_maps import NULL_MAPS
from castream_jax.binding.choices import choose_metrics
from castream_jax.binding.ledger import NOTHING
from castream_jax.config import Experiment, ModelConfig
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.evaluation.accuracy import Accuracy
from castream_jax.evaluation.rows import read_rows, rows_schema, write_rows
from castream_jax.evaluation.runner import Evaluation
from castream_jax.evaluation.shown_images import ShownImages
from castream_jax.report.writing import write_evaluation

POINTS, CLASSES = 29, 1000
METHODS = ("grad_cam", "grad_cam_pp", "score_cam", "attention")
NULLS = ("random", "gaussian", "constant", "fake")
POOLINGS = ("gap", "ca")
MAPS = [(key, pooling) for key in METHODS for pooling in POOLINGS if (key, pooling) != ("attention", "gap")]
KEYS = MAPS + [(key, pooling) for key in NULLS for pooling in POOLINGS]


def make_rows(images: int) -> pa.Table:
    """Return rows as an evaluation of the default set has them, of numbers drawn at random."""
    rng = np.random.default_rng(0)
    metrics = tuple(metric for metric in choose_metrics(()) if not metric.needs_truth)
    methods = tuple(ca.METHODS[key] for key in METHODS)
    assert set(NULLS) <= set(NULL_MAPS)
    schema, count = rows_schema(metrics, methods), images * len(KEYS)
    labels = np.repeat(rng.integers(0, CLASSES, images), len(KEYS)).astype(np.int32)
    given = {
        "id": np.repeat([f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(images)], len(KEYS)),
        "attribution": np.tile([key for key, _ in KEYS], images),
        "pooling": np.tile([pooling for _, pooling in KEYS], images),
        "label": labels,
        "explained_class": labels,
        "predicted_class": np.where(rng.random(count) < 0.75, labels, 0).astype(np.int32),
    }

    def column(field: pa.Field) -> pa.Array:
        if field.name in given:
            return pa.array(given[field.name], field.type)
        if pa.types.is_boolean(field.type):
            return pa.array(rng.random(count) < 0.001)
        if pa.types.is_list(field.type):
            offsets = np.arange(0, (count + 1) * POINTS, POINTS, dtype=np.int32)
            return pa.ListArray.from_arrays(offsets, pa.array(rng.random(count * POINTS, dtype=np.float32)))
        return pa.array(rng.random(count, dtype=np.float32))

    return pa.Table.from_arrays([column(field) for field in schema], schema=schema)


def write_report(file: Path, directory: Path) -> dict[str, float]:
    """Write the report of rows that are kept, and return its seconds and megabytes."""
    rng = np.random.default_rng(1)

    def explain(places: list[int]) -> ShownImages:
        images = rng.integers(0, 256, (len(places), 224, 224, 3), dtype=np.uint8)
        maps = {key: rng.random((len(places), 7, 7), dtype=np.float32) for key in MAPS}
        return ShownImages(tuple(places), images, maps)

    began = time.perf_counter()
    rows = read_rows(file)
    images = len(rows) // len(KEYS)
    accuracy = Accuracy({"gap": 0.75, "ca": 0.75}, {"ca": 0.01}, images, NOTHING, PictureCounts(images))
    evaluation = Evaluation(
        protocol=ca.PROTOCOLS["castream"],
        rows=rows,
        class_names=tuple(f"class {number}" for number in range(CLASSES)),
        accuracy=accuracy,
        pictures=PictureCounts(images),
        settings={},
        cost=NOTHING,
        seconds=0.0,
        parts=directory / "parts",
        explain=explain,
        warnings=(),
    )
    experiment = Experiment(name="made_up", model=ModelConfig(name="resnet50"))
    write_evaluation(evaluation, experiment, directory)
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    html = next(directory.rglob("report.html")).stat().st_size / 1e6
    return {"seconds": time.perf_counter() - began, "megabytes": usage * 1.024 / 1e3, "html": html}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[2_000, 10_000, 50_000])
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)  # of a process of its own
    options = parser.parse_args()
    if options.rows:
        print(json.dumps(write_report(options.rows, options.rows.parent)))
        return
    print("| images | rows | rows.parquet, MB | seconds | peak of the process, MB | report.html, MB |")
    print("|---:|---:|---:|---:|---:|---:|")
    for images in options.images:
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "made_up.parquet"
            rows = make_rows(images)
            write_rows(rows, file)
            size, count = file.stat().st_size / 1e6, len(rows)
            del rows
            command = [sys.executable, "-m", "benchmarks.report_size", "--rows", str(file)]
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            if said.returncode:
                sys.exit(said.stderr[-3000:])
            found = json.loads(said.stdout.splitlines()[-1])
            cells = (f"{images:,}", f"{count:,}", f"{size:,.0f}", f"{found['seconds']:.1f}")
            print(f"| {' | '.join(cells)} | {found['megabytes']:,.0f} | {found['html']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
