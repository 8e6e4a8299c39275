"""Damages each file of the compiled programs that a run keeps, and counts how the next runs end.

    python -m benchmarks.cache_damage [PLACES] [unguarded]

Each file has a bit flipped, and its rest cut off, at PLACES places (16 unless told), one at a time; then the same
programs run twice as in new processes. `unguarded` leaves JAX's files to JAX. A process that dies counts, and another
one goes on.
"""

import collections
import subprocess
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from tests.faults import cache

DIED = "THE PROCESS DIED"


def main(places: int, guarded: str) -> None:
    """Print the counts."""
    endings: collections.Counter = collections.Counter()
    with tempfile.TemporaryDirectory() as place, tqdm(unit="damage") as bar:
        keep = () if guarded == "guarded" else (cache.keep_unguarded,)
        files = cache.prepare(cache.Computation(*keep), Path(place))
        bar.total, first = files * places * 2, 0
        while first < bar.total:
            command = [sys.executable, "-m", cache.__name__, place, str(places), str(first), guarded]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            assert child.stdout is not None
            for line in child.stdout:
                number, kind, ending = line.rstrip("\n").split("\t")
                endings[kind, ending] += 1
                first = int(number) + 1
                bar.update()
            if child.wait() and first < bar.total:
                endings["flipped" if first % 2 == 0 else "cut", f"{DIED} ({child.returncode})"] += 1
                first += 1
                bar.update()
    for (kind, ending), count in sorted(endings.items()):
        print(f"{count:5} {kind}: {ending}")
    print(f"{endings.total():5} in all, of {files} files")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdecimal()]
    main(numbers[0] if numbers else 16, "unguarded" if "unguarded" in sys.argv else "guarded")
