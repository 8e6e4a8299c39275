"""Which tests `make test` leaves to `make long`: python -m benchmarks.long_tests JUNIT COVERAGE > tests/long.txt.

Both files are of one run of all tests, with pytest-cov installed, which takes an hour:

    python -m pytest -n 2 --cov=castream_jax --cov-context=test --cov-report= --junitxml=JUNIT tests

COVERAGE is then `.coverage`. Functions leave one by one, each time the one that takes longest for what it alone covers,
until the others take no longer than they may. The lines that only those that left cover are counted on stderr. What the
tests of a file share, programs and networks, then falls to those that stay: run these, and choose again from their
times, with `--left tests/long.txt`.
"""

import argparse
import collections
import importlib
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

STAY = (
    "attribution/test_gradient.py::test_golden_maps",
    "attribution/test_score_cam.py::test_golden_weights_of_ca_and_gap_from_the_same_passes",
    "evaluation/test_runner.py::test_a_killed_evaluation_goes_on_and_ends_with_the_same_bytes",
    "training/test_loop.py::test_a_resumed_run_ends_with_the_same_bits",
)
"""What every run of the tests holds, whatever it takes: the reference's numbers, and that a run can go on."""
SHORT = 2.0
"""Seconds of a function that stays."""
FEW_LINES = 1.5
"""Lines that a function counts as covering beside its own, so that of those with none the longest leaves first."""


def read_seconds(junit: Path) -> collections.Counter[str]:
    """Return how long each test function took, all its cases together."""
    seconds: collections.Counter[str] = collections.Counter()
    for case in ET.parse(junit).iter("testcase"):
        file, name = case.attrib["classname"].replace(".", "/"), case.attrib["name"].split("[")[0]
        seconds[f"{file}.py::{name}"] += float(case.attrib["time"])  # type: ignore[assignment]
    return seconds


def read_lines(coverage: Path) -> dict[str, set[tuple[str, int]]]:
    """Return the lines that each test function covers, and, as "", those that are covered beside all."""
    data = importlib.import_module("coverage").CoverageData(str(coverage))
    data.read()
    lines = collections.defaultdict(set)
    for file in data.measured_files():
        for line, contexts in data.contexts_by_lineno(file).items():
            for context in contexts:
                lines[context.split("|")[0].split("[")[0]].add((file, line))
    return lines


def choose(
    seconds: dict[str, float], lines: dict[str, set[tuple[str, int]]], most: float, before: list[str]
) -> list[str]:
    """Return the functions that leave, in their order, those that did `before` first."""
    counts = collections.Counter(line for covered in lines.values() for line in covered)
    stay = {name for name, took in seconds.items() if took < SHORT or name.endswith(STAY)}
    left = list(before)
    for name in left:
        counts.subtract(lines.get(name, ()))

    def alone(name: str) -> int:
        return sum(counts[line] == 1 for line in lines.get(name, ()))

    candidates, rest = set(seconds) - stay - set(left), sum(seconds.values())
    while candidates and rest > most:
        name = max(sorted(candidates), key=lambda one: seconds[one] / (alone(one) + FEW_LINES))
        candidates.remove(name)
        left.append(name)
        rest -= seconds[name]
        counts.subtract(lines.get(name, ()))
    lost = sum(count == 0 for count in counts.values())
    print(f"{len(left)} functions leave, with {lost} of {len(counts)} lines; the rest: {rest:.0f} s.", file=sys.stderr)
    return left


def main() -> None:
    """Print the functions that leave, by file."""
    parser = argparse.ArgumentParser(description="Chooses the tests that `make test` leaves to `make long`.")
    parser.add_argument("junit", type=Path)
    parser.add_argument("coverage", type=Path)
    parser.add_argument("--seconds", type=float, default=950, help="that the others may take (default: %(default)s)")
    parser.add_argument("--left", type=Path, help="those that left before")
    chosen = parser.parse_args()
    before = chosen.left.read_text("utf-8").split() if chosen.left else []
    left = choose(read_seconds(chosen.junit), read_lines(chosen.coverage), chosen.seconds, before)
    print("\n".join(sorted(left)))


if __name__ == "__main__":
    main()
