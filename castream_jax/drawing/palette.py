"""The strokes of poolings, wherever they are drawn as lines: told apart by colour, with any eyes, and without colour.

GAP has the first stroke and no other pooling has it; the others have theirs by their place in the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from castream_jax.wording import FIRST_POOLING


@dataclass(frozen=True)
class Stroke:
    """How a line is drawn."""

    light: str
    """Colour on white."""
    dark: str
    """Colour on black."""
    dashes: tuple[int, ...] = ()
    """Lengths drawn and left out in turn, in half widths of a line with round ends; empty: drawn whole."""

    @property
    def flat_dashes(self) -> tuple[float, ...]:
        """The dashes in widths of a line with flat ends, in which round ones would run together."""
        return tuple(length * (0.5 if i % 2 else 0.8) for i, length in enumerate(self.dashes))


COLOURS = (
    ("#0a5fa8", "#6db8f2"),
    ("#104331", "#02fe95"),
    ("#f5016c", "#db34b3"),
    ("#069bbb", "#2a7672"),
    ("#7e14e9", "#8f23f2"),
    ("#8c0404", "#c91c1d"),
    ("#0f0c10", "#ffffff"),
)
"""On white and on black: at least 3:1 from it, and far from each other for those who lack a kind of cones."""
DASHES = ((), (9, 4, 1, 4), (1, 4), (9, 4), (9, 4, 1, 4, 1, 4), (5, 4, 1, 4), (14, 4, 5, 4), (3, 7), (14, 4))
STROKES = (
    Stroke("#b4500a", "#f0a04b", (5, 4)),
    *(Stroke(*COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]) for i in range(len(COLOURS) * len(DASHES))),
)
"""The first is GAP's. No two are the same."""


def place_strokes(poolings: Sequence[str]) -> dict[str, int]:
    """Return of each pooling, in the order of the table, the place of its stroke in `STROKES`."""
    others = [pooling for pooling in poolings if pooling != FIRST_POOLING]
    places = {pooling: 1 + i % (len(STROKES) - 1) for i, pooling in enumerate(others)}
    return {pooling: places.get(pooling, 0) for pooling in poolings}
