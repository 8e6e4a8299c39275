"""Arrays that a function closes over: found in its jaxpr, and replaced there by others.

A compiled program holds such arrays as constants: a second copy of the weights in every program, on every device, which
nothing that looks after the weights knows of.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import eval_jaxpr
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

INLINED = {"jit", "pjit"}
"""Primitives whose jaxpr may hold constants of its own: a function that the user compiled."""


def trace(function: Callable[..., Any], *args: Any) -> tuple[ClosedJaxpr, Any]:
    """Return a function's jaxpr for arguments of these shapes, and the shapes that it returns."""
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), args)
    return jax.make_jaxpr(function, return_shape=True)(*shapes)


class Captured:
    """The arrays that some functions close over, each once, in the order of their use.

    Those of JAX are known again by identity. Those of numpy, and copies that a function makes while it is traced, are
    other objects in each trace: they are known by their content.
    """

    def __init__(self, traced: Sequence[ClosedJaxpr]):
        self.arrays: list[Any] = []
        self._places: dict[int, int] = {}  # by identity: `arrays` keeps them all, so that none is given again
        self._alike: dict[tuple[Any, ...], list[int]] = {}  # by shape and type
        self._digests: dict[int, bytes] = {}
        for closed in traced:
            for constant in list_constants(closed):
                if is_array(constant) and id(constant) not in self._places:
                    self._add(constant)

    def _add(self, constant: Any) -> None:
        """Give an array a place; one of numpy that is known by its content has one."""
        place = None if isinstance(constant, jax.Array) else self._find_content(constant)
        if place is None:
            place = len(self.arrays)
            self.arrays.append(constant)
            self._places[id(constant)] = place
            self._alike.setdefault((constant.shape, constant.dtype), []).append(place)

    def find(self, constant: Any) -> int | None:
        """Return an array's place in `arrays`; None for one that is not there."""
        place = self._places.get(id(constant))
        if place is not None or not is_array(constant):
            return place
        return self._find_content(constant)

    def _find_content(self, constant: Any) -> int | None:
        places = self._alike.get((constant.shape, constant.dtype), ())
        found = digest_array(constant) if places else b""
        for place in places:
            if place not in self._digests:
                self._digests[place] = digest_array(self.arrays[place])
            if self._digests[place] == found:
                return place
        return None


def digest_array(array: Any) -> bytes:
    """Return a digest of an array's bytes."""
    return hashlib.blake2b(np.asarray(array).tobytes()).digest()


def is_array(constant: Any) -> bool:
    """Return whether a constant is an array of numbers: keys of random numbers are left where they are."""
    if isinstance(constant, jax.core.Tracer) or not hasattr(constant, "dtype"):
        return False
    return not jnp.issubdtype(constant.dtype, jax.dtypes.extended)


def list_constants(closed: ClosedJaxpr) -> Iterator[Any]:
    """Yield the constants of a jaxpr, and of the compiled functions in it."""
    yield from closed.consts
    for equation in closed.jaxpr.eqns:
        if equation.primitive.name in INLINED:
            yield from list_constants(equation.params["jaxpr"])


def evaluate(closed: ClosedJaxpr, args: Sequence[Any], substitute: Callable[[Any], Any]) -> list[Any]:
    """Return what a jaxpr computes from arguments, with `substitute(constant)` for each constant of `list_constants`.

    Constants in the body of a loop or a condition are JAX's arguments of these, and substituted too; only those of a
    compiled function that such a body calls stay.
    """
    constants = [substitute(constant) for constant in closed.consts]
    if not any(_holds_constants(equation) for equation in closed.jaxpr.eqns):
        return list(eval_jaxpr(closed.jaxpr, constants, *args))
    known = dict(zip((*closed.jaxpr.constvars, *closed.jaxpr.invars), (*constants, *args), strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in closed.jaxpr.eqns:
        values = [read(atom) for atom in equation.invars]
        if _holds_constants(equation):
            found = evaluate(equation.params["jaxpr"], values, substitute)
        else:
            found = _evaluate_alone(closed.jaxpr, equation, values)
        known |= zip(equation.outvars, found, strict=True)
    return [read(atom) for atom in closed.jaxpr.outvars]


def _holds_constants(equation: JaxprEqn) -> bool:
    """Return whether an equation calls a compiled function that holds constants, or calls one that does."""
    return equation.primitive.name in INLINED and next(list_constants(equation.params["jaxpr"]), None) is not None


def _evaluate_alone(jaxpr: Jaxpr, equation: JaxprEqn, values: Sequence[Any]) -> list[Any]:
    """Return what one equation of a jaxpr computes."""
    places = {atom: i for i, atom in enumerate(equation.invars) if not isinstance(atom, Literal)}
    alone = jaxpr.replace(
        constvars=[],
        invars=list(places),
        outvars=equation.outvars,
        eqns=[equation],
        effects=equation.effects,
    )
    return list(eval_jaxpr(alone, [], *(values[i] for i in places.values())))
