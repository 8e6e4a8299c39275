"""Settings that a user may write, sensible or not."""

import math
from typing import Any

from hypothesis import strategies as st

NUMBERS = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([-(2**63), 2**31, 2**32, 2**63, 10**30]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 0.5, 1.0, -0.0, 1e-30, 1e30, math.nan]),
)
TEXTS = st.one_of(
    st.text(max_size=8), st.sampled_from(["", "ca", "gap", "sgd", "test", "../..", "\0", "a/b", "x:1", "é"])
)
JUNK = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.lists(st.integers(-1, 3), max_size=3), st.just({"a": 1}))


def leaves(settings: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of all settings."""
    paths: list[tuple[str, ...]] = []
    for name, value in settings.items():
        paths += leaves(value, (*prefix, name)) if isinstance(value, dict) else [(*prefix, name)]
    return paths


def like(value: Any) -> st.SearchStrategy:
    """Return values of the type of a setting, or of none that it expects."""
    if isinstance(value, bool):
        kind: st.SearchStrategy = st.booleans()
    elif isinstance(value, int):
        kind = st.integers(-2, 300)
    elif isinstance(value, float):
        kind = st.one_of(st.floats(0, 2), st.floats())
    elif isinstance(value, str):
        kind = TEXTS
    else:
        kind = st.lists(st.integers(-1, 3), max_size=3)
    return st.one_of(kind, kind, kind, JUNK)


@st.composite
def changed_settings(draw: st.DrawFn, settings: dict[str, Any], most: int = 3) -> dict[str, Any]:
    """Draw settings of which up to `most` are changed, or removed, or have one more beside them."""
    copy = {name: dict(value) if isinstance(value, dict) else value for name, value in settings.items()}
    for path in draw(st.lists(st.sampled_from(leaves(settings)), min_size=1, max_size=most, unique=True)):
        group = copy[path[0]] if len(path) == 2 else copy
        action = draw(st.sampled_from(["change", "change", "change", "change", "remove", "add"]))
        if action == "remove":
            del group[path[-1]]
        elif action == "add":
            group[draw(TEXTS)] = draw(JUNK)
        else:
            group[path[-1]] = draw(like(group[path[-1]]))
    return copy
