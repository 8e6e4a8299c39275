"""What importing the package costs beside JAX and Flax, in CPU time: python -m benchmarks.import_time.

The two are measured in turn, so that a busy machine slows both; each pair gives a ratio.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys

BASE = "import jax, flax.nnx"
PACKAGE = "import castream_jax as ca; ca.attribute"
COUNT = "; import sys; print(len(sys.modules))"


def measure(line: str) -> tuple[float, int]:
    """Return the CPU seconds, of this program and the system, that a fresh Python takes, and its number of modules."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    ended = subprocess.run([sys.executable, "-c", line + COUNT], env=environment, stdout=subprocess.PIPE, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, int(ended.stdout)


def spread(values: list[float]) -> str:
    """Return the median, and the smallest and the largest value."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description="Measures what `import castream_jax` costs beside JAX and Flax.")
    parser.add_argument("--runs", type=int, default=9, help="pairs of processes (default: %(default)s)")
    runs = parser.parse_args().runs
    measure(PACKAGE)  # files come into the cache of the system, and are compiled
    pairs = [(measure(BASE), measure(PACKAGE)) for _ in range(runs)]
    for line, times in ((BASE, [base for base, _ in pairs]), (PACKAGE, [package for _, package in pairs])):
        print(f"{line:<42}{spread([seconds for seconds, _ in times])} s of CPU, {times[0][1]} modules")
    ratios = [package / base for (base, _), (package, _) in pairs]
    print(f"ratio {spread(ratios)}, of {runs} pairs: median (smallest to largest)")


if __name__ == "__main__":
    main()
