"""The two functions that a network is made of, as jaxprs: what they return is checked whenever they are traced."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from castream_jax.errors import InputError
from castream_jax.models.captured import INLINED, Captured, trace

ONLY = "feature_map"
"""What the feature map is called where there is but one, without a name."""
BATCH = 2
"""Images that the functions are first tried with: one more than what passes for an axis of any length."""


class Functions:
    """The user's two functions, checked, and what is known of them from one trace of each.

    A single feature map goes to the head as it came, without a dictionary.
    """

    def __init__(self, name: str, features: Callable[..., Any], head: Callable[..., Any], shape: tuple[int, ...]):
        """Trace both functions for a batch of images of that shape, [H W C]; raises `InputError` as they do."""
        self.name, self._features, self._head = name, features, head
        self.names: tuple[str, ...] = ()
        traced, maps = self.trace_features(jax.ShapeDtypeStruct((BATCH, *shape), jnp.float32))
        traced_head = self.trace_head(maps)
        self.num_logits: int = traced_head.out_avals[0].shape[1]
        self.read = _find_read(traced_head, self.names)
        """The feature maps that the head computes from, in the order of `names`."""
        if not self.read:
            raise InputError(
                f"head of {name} reads none of {', '.join(self.names)}: expected logits that depend on one."
            )
        self.captured = Captured([traced, traced_head])

    def trace_features(self, images: Any) -> tuple[ClosedJaxpr, dict[str, jax.ShapeDtypeStruct]]:
        """Return the features' jaxpr for images of this shape, and the shape of each map."""
        names: tuple[Any, ...] = ()

        def call(images: Any) -> dict[Any, Any]:
            nonlocal names
            found = self._features(images)
            found = found if isinstance(found, Mapping) else {ONLY: found}
            names = tuple(found)  # the user's order, which a tree of arrays does not keep
            return dict(found)

        closed, shapes = self._trace("features", call, images)
        if not shapes:
            raise InputError(
                f"features of {self.name} returns no maps: expected a dict of named maps [B h w C], or one."
            )
        for key, shape in shapes.items():
            self._check_map(key, shape, images.shape)
        self.names = self.names or names
        if set(names) != set(self.names):
            raise InputError(
                f"features of {self.name} returns {', '.join(names)} for images {images.shape}: expected the maps that "
                f"it returned at first, {', '.join(self.names)}."
            )
        return closed, shapes

    def trace_head(self, features: Mapping[str, Any]) -> ClosedJaxpr:
        """Return the head's jaxpr for feature maps of these shapes."""

        def call(features: dict[str, Any]) -> Any:
            if self.names == (ONLY,):
                return self._head(features[ONLY])
            return self._head({name: features[name] for name in self.names})

        used = {name: features[name] for name in self.names}
        closed, logits = self._trace("head", call, used)
        batch = next(iter(used.values())).shape[0]
        found = getattr(logits, "shape", None)
        if found is None or len(found) != 2 or found[0] != batch or not found[1]:
            raise InputError(
                f"head of {self.name} returns {_word(logits)} for {batch} images: expected logits [B K], as "
                f"({batch}, 1000)."
            )
        if not jnp.issubdtype(logits.dtype, jnp.floating):
            raise InputError(f"head of {self.name} returns {_word(logits)}: expected logits, floats.")
        return closed

    def _check_map(self, key: Any, found: Any, images: tuple[int, ...]) -> None:
        """Raise `InputError` unless one of the features is a named map [B h w C] of floats."""
        what = f"features of {self.name} returns {key!r}: {_word(found)} for images {images}"
        expected = f"a map [B h w C] of floats, B = {images[0]}"
        shape: tuple[int, ...] = tuple(getattr(found, "shape", ()))
        if not isinstance(key, str):
            raise InputError(f"{what}: expected a name of type str.")
        if len(shape) == 3:
            expected += "; tokens become one by tokens.reshape(B, h, w, C), without the class token"
        if len(shape) != 4 or shape[0] != images[0] or 0 in shape or not jnp.issubdtype(found.dtype, jnp.floating):
            raise InputError(f"{what}: expected {expected}.")

    def _trace(self, what: str, function: Callable[..., Any], argument: Any) -> tuple[ClosedJaxpr, Any]:
        try:
            return trace(function, argument)
        except InputError:
            raise
        except Exception as error:  # the function is the user's code
            given = ", ".join(str(leaf.shape) for leaf in jax.tree.leaves(argument))
            reason = (str(error).strip() or "no reason given").splitlines()[0]
            raise InputError(
                f"{what} of {self.name} fails on arrays {given} ({type(error).__name__}: {reason}): expected "
                f"{'images [B H W C] to become maps [B h w C]' if what == 'features' else 'logits [B K]'}."
            ) from error


def _find_read(head: ClosedJaxpr, names: Sequence[str]) -> tuple[str, ...]:
    """Return the feature maps that a head computes from."""
    read = _list_read(head.jaxpr)
    variables = dict(zip(sorted(names), head.jaxpr.invars, strict=True))
    return tuple(name for name in names if variables[name] in read)


def _list_read(jaxpr: Jaxpr) -> set[Any]:
    """Return the variables that a jaxpr computes from; a compiled function is given some that it does not read."""
    read: set[Any] = set()
    for equation in jaxpr.eqns:
        given = equation.invars
        if equation.primitive.name in INLINED:
            inner = equation.params["jaxpr"].jaxpr
            inside = _list_read(inner) | {atom for atom in inner.outvars if not isinstance(atom, Literal)}
            given = [atom for atom, variable in zip(given, inner.invars, strict=True) if variable in inside]
        read |= {atom for atom in given if not isinstance(atom, Literal)}
    return read


def _word(found: Any) -> str:
    """Return what a function returned in words: an array's shape and type, or whatever else it is."""
    return f"{found.dtype} {found.shape}" if hasattr(found, "shape") else type(found).__name__
