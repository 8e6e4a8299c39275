"""Feeds each reader with files that are right, hostile or damaged, and counts how it ends.

    python -m benchmarks.fuzz weights|pictures|boxes|configs|all [COUNT] [SEED] [--keep DIR] [--only NUMBER] [--list]

Each case must end right (what was read is checked against what is known of it) or in one message, within 30 seconds,
with less than 1 GB of memory over the start, without starting a process, calling the network, or writing a file outside
of the folder for output. First come the cases made on purpose, then damaged ones up to COUNT (weights and configs 500,
pictures 300, boxes and class lists 200 unless told); a case is made again from its number and SEED (0) by `--only`.
Exit code 1 if any failed; `--keep` keeps their files.
"""

import argparse
import collections
import os
import sys
from pathlib import Path

from tqdm import tqdm

from benchmarks.fuzz.case import GOOD, Ending

DIGITS = 160
"""Letters of what was said, in the list of failures."""


def main() -> int:
    """Read the cases, print the counts and the failures, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description="Feeds each reader with files.")
    parser.add_argument("reader", choices=["weights", "pictures", "boxes", "listings", "configs", "all"])
    parser.add_argument("count", nargs="?", type=int, help="cases of each reader")
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the files of the cases that fail")
    parser.add_argument("--only", type=int, action="append", help="the number of a case")
    parser.add_argument("--list", action="store_true", help="print how every case ended")
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    from benchmarks.fuzz.readers import READERS
    from benchmarks.fuzz.worker import read_all

    failed = 0
    for name in READERS if arguments.reader == "all" else [arguments.reader]:
        numbers = arguments.only or range(READERS[name].count if arguments.count is None else arguments.count)
        endings = []
        for ending in tqdm(read_all(name, numbers, arguments.seed, arguments.keep), name, len(numbers)):
            endings.append(ending)
            if ending.outcome not in GOOD or arguments.list:
                tqdm.write(describe(ending))
        report(name, arguments.seed, endings)
        failed += sum(ending.outcome not in GOOD for ending in endings)
    return min(failed, 1)


def describe(ending: Ending) -> str:
    """Return a line about a case."""
    took = f"{ending.seconds:.1f} s, {ending.megabytes:.0f} MB"
    return f"  {ending.outcome:9} {ending.number:4} {ending.name} ({took}): {ascii(ending.said)[1:-1][:DIGITS]}"


def report(name: str, seed: int, endings: list[Ending]) -> None:
    """Print the counts of one reader, and the most that any case took."""
    counts = collections.Counter(ending.outcome for ending in endings)
    print(f"{name}, seed {seed}: {len(endings)} cases")
    for outcome in (*GOOD, *sorted(counts.keys() - set(GOOD))):
        print(f"{counts[outcome]:5} {outcome}{'' if outcome in GOOD else '  FAILED'}")
    longest, largest = (max(endings, key=lambda ending: getattr(ending, key)) for key in ("seconds", "megabytes"))
    print(f"longest: {longest.seconds:.1f} s, case {longest.number} ({longest.name})")
    print(f"most memory: {largest.megabytes:.0f} MB over the start, case {largest.number} ({largest.name})")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
