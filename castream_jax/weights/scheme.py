"""What a naming scheme is: from where an array of ours stands, its name in a state dict and its shape there."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

# A rule: a pattern on our path without its leaf, the leaves it holds for, and the module's name, given the
# numbers in the path.
Rule = tuple[str, str, Callable[..., str]]

NORM, LINEAR = "scale|bias|mean|var", "kernel|bias"
LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "layer_scale": "layer_scale",
}
TOKEN = "cls_token"
TRUNK = ("backbone", "classifier")
"""What of a network is no pooling."""
IGNORED = re.compile(r"(^|\.)(num_batches_tracked|n_averaged)$")
"""Counters of training batches (momentum is fixed) and of averaged weights."""


@dataclass(frozen=True)
class Scheme:
    """One way to name the arrays of a family of networks."""

    name: str
    family: str
    """Its key in `models.families`."""
    rules: tuple[Rule, ...]
    architecture: str = ""
    """The only one that it is for: names that count the blocks of all stages depend on how many there are."""
    excepted: tuple[str, ...] = ()
    """Architectures of the family that the library has not."""
    has_stream: bool = False
    layer_scale: str = "layer_scale"
    """The leaf that scales a ConvNeXt block's branch."""
    root: str = ""
    """What stands before the names of the trunk, and is missing where the trunk was saved alone."""

    def is_for(self, architecture: str) -> bool:
        """Return whether it names the arrays of an architecture of its family."""
        return self.architecture in ("", architecture) and architecture not in self.excepted

    def has_names(self, paths: Iterable[tuple[Any, ...]]) -> bool:
        """Return whether it names all of some arrays, but for poolings: of a spec of one's own it may not."""
        try:
            return all(self.key(path) is not None or path[0] not in TRUNK for path in paths)
        except KeyError:
            return False

    def key(self, path: tuple[Any, ...]) -> str | None:
        """Return the key of one of our arrays, given its path; None for those of a pooling that this scheme has not."""
        *parents, leaf = map(str, path)
        if path[0] not in TRUNK and not (path[0] == "stream" and self.has_stream):
            return None
        if (*parents, leaf) == ("stream", "query"):
            return TOKEN
        for pattern, leaves, module in self.rules:
            match = re.fullmatch(pattern.replace(".", r"\."), ".".join(parents))
            if match and re.fullmatch(leaves, leaf):
                name = self.layer_scale if leaf == "layer_scale" else LEAVES[leaf]
                return f"{module(*map(int, match.groups()))}.{name}"
        raise KeyError(f"no rule of {self.name} names {'.'.join(map(str, path))}")

    def shape(self, key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that this scheme gives an array of ours: OIHW for HWIO, matrices transposed."""
        if key == TOKEN:
            return (1, 1, *shape)
        if key.endswith("layer_scale"):
            return (*shape, 1, 1)
        if len(shape) == 4:
            height, width, features_in, features_out = shape
            return (features_out, features_in, height, width)
        return shape[::-1]


class OwnScheme(Scheme):
    """Our own names and layout."""

    def key(self, path: tuple[Any, ...]) -> str:
        """Return the dotted path."""
        return ".".join(map(str, path))

    def shape(self, key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape as it is."""
        return shape
