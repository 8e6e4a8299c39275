"""What one comparison found, and how a table shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.interleaved import ratios


@dataclass(frozen=True)
class Comparison:
    """One work of ours beside one peer; times are medians over the rounds, in seconds."""

    work: str
    ours_s: float
    peer: str
    peer_s: float
    ratio: float
    """The peer's time over ours, the median of the rounds' ratios: above 1, ours is faster."""
    quartiles: tuple[float, float]
    rounds: int
    max_difference: float | None
    """Of the outputs, as the work says; None where the definitions differ."""
    bar: float | None = None
    """What the ratio should reach."""

    @property
    def verdict(self) -> str:
        """Say whether the bar was reached."""
        return "" if self.bar is None else f"{self.bar:g}: {'reached' if self.ratio >= self.bar else 'MISSED'}"

    def to_dict(self) -> dict[str, Any]:
        """Return what results.json holds."""
        return asdict(self) | {"quartiles": list(self.quartiles)}


def compare(
    work: str,
    times: Mapping[str, Sequence[float]],
    peer: str,
    max_difference: float | None = None,
    bar: float | None = None,
) -> Comparison:
    """Return the comparison of "ours" with a peer, from the times of `interleave`."""
    low, middle, high = ratios(times[peer], times["ours"])
    return Comparison(
        work=work,
        ours_s=float(np.median(times["ours"])),
        peer=peer,
        peer_s=float(np.median(times[peer])),
        ratio=middle,
        quartiles=(low, high),
        rounds=len(times["ours"]),
        max_difference=max_difference,
        bar=bar,
    )


def largest(first: object, second: object) -> float:
    """Return the largest difference of two arrays."""
    return float(np.abs(np.asarray(first, np.float64) - np.asarray(second, np.float64)).max())


HEADER = """| work | ours, s | peer | peer, s | peer / ours | quartiles | largest difference | bar |
|---|---:|---|---:|---:|---:|---:|---|"""


def to_line(row: Comparison) -> str:
    """Return a row of the Markdown table under `HEADER`."""
    difference = "not comparable" if row.max_difference is None else f"{row.max_difference:.1e}"
    return (
        f"| {row.work} | {row.ours_s:.3f} | {row.peer} | {row.peer_s:.3f} | {row.ratio:.2f} "
        f"| {row.quartiles[0]:.2f}-{row.quartiles[1]:.2f} | {difference} | {row.verdict} |"
    )
