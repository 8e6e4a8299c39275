"""The page of poolings: a line for each record."""

import re
from pathlib import Path

from castream_jax import POOLINGS

PAGE = Path(__file__).parent.parent.parent / "docs" / "poolings.md"


def write_line(pooling) -> str:
    """Return a record's line of the table."""
    options = ", ".join(f"`{name}={str(value).lower()}`" for name, value in pooling.options.items())
    cells = (
        f"`{pooling.key}`",
        f"{pooling.name} ({pooling.source})",
        pooling.meaning,
        pooling.trains or "nothing",
        {"all": "all taps", "last": "the last map"}[pooling.reads],
        "yes" if pooling.has_attention else "no",
        options or "none",
    )
    return f"| {' | '.join(cells)} |"


def test_each_pooling_has_its_line():
    lines = [line for line in PAGE.read_text().splitlines() if re.match(r"\| `\w+` \| \S", line)]
    assert lines[: len(POOLINGS)] == [write_line(pooling) for pooling in POOLINGS.values()]
