"""How far the demo's numbers move with the seed: trained and measured anew by each, through the two commands.

    python -m benchmarks.demo_spread [SEED ...]

Of each cell the least and the largest mean over the seeds (0, 1 and 2 unless named), and of each pair of poolings in
how many of the trainings either one is marked as the better. Runs are kept in `build/demo_spread/`, and go on where
they stopped.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from castream_jax.report.schema import Report
from castream_jax.report.tables import find_winners, report_metrics
from castream_jax.wording import name_attribution, name_pooling

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "build" / "demo_spread"
SEEDS = (0, 1, 2)


def run_demo(seed: int) -> Report:
    """Return the report of the demo of one seed."""
    workdir = RUNS / str(seed)
    reports = workdir / "evaluation" / "castream" / "report.json"
    for command in () if reports.is_file() else ("train.py", "evaluate.py"):
        flags = ["--config", "configs/demo.py", f"--config.seed={seed}", "--workdir", str(workdir)]
        subprocess.run([sys.executable, command, *flags], cwd=ROOT, check=True)
    report: Report = json.loads(reports.read_text(encoding="utf-8"))
    return report


def span(values: list[Any]) -> str:
    """Return the least and the largest of some percentages."""
    return f"{min(values):.2f}..{max(values):.2f}"


def main() -> None:
    """Print the table in Markdown."""
    seeds = [int(word) for word in sys.argv[1:]] or list(SEEDS)
    reports = [run_demo(seed) for seed in seeds]
    metrics = report_metrics(reports[0])
    print(f"Seeds {', '.join(map(str, seeds))}; accuracy: ", end="")
    print(", ".join(f"{name_pooling(p)} {span([r['accuracy'][p] for r in reports])}" for p in reports[0]["accuracy"]))
    print(f"\n| attribution | pooling | {' | '.join(metric.heading for metric in metrics)} |")
    print(f"|---|---|{'--:|' * len(metrics)}")
    for lines in zip(*(report["rows"] for report in reports), strict=True):
        cells = [span([line[metric.symbol] for line in lines]) for metric in metrics]
        names = name_attribution(lines[0]["attribution"]), name_pooling(lines[0]["pooling"])
        print(f"| {' | '.join([*names, *cells])} |")
    won = Counter((cell, pooling) for r in reports for cell, pooling in find_winners(r, metrics).items())
    print(f"\nMarked as the better pooling, in how many of {len(reports)} trainings:")
    for ((attribution, symbol), pooling), count in sorted(won.items()):
        print(f"- {name_attribution(attribution)}, {symbol}: {name_pooling(pooling)} {count}")


if __name__ == "__main__":
    main()
