"""Nothing runs backward through the backbone: neither Grad-CAM nor the training of the stream."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx
from jax.extend import core

from castream_jax import api, create_model
from castream_jax.attribution import METHODS
from castream_jax.binding.choices import choose_methods
from castream_jax.binding.program import Plan

pytestmark = pytest.mark.slow

NAMES = ("resnet18", "convnext_tiny")
IMAGES, LABELS = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.int32)


def equations(jaxpr: core.Jaxpr) -> Iterator[Any]:
    """Yield every equation, those of inner programs (branches, loops, calls) included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: isinstance(leaf, core.Jaxpr | core.ClosedJaxpr)
        ):
            if isinstance(inner, core.ClosedJaxpr):
                yield from equations(inner.jaxpr)
            elif isinstance(inner, core.Jaxpr):
                yield from equations(inner)


def count(function: Callable, *arguments) -> tuple[int, float]:
    """Return the convolutions of a function, and its floating point operations: from one trace."""
    traced = jax.jit(function).trace(*arguments)
    names = [equation.primitive.name for equation in equations(traced.jaxpr.jaxpr)]
    return names.count("conv_general_dilated"), traced.lower().cost_analysis()["flops"]


class Programs:
    """The forward pass of an abstract network, and what must cost no more than it, as functions of arrays."""

    def __init__(self, name: str, pooling: str = "ca"):
        self.model = nnx.eval_shape(lambda: create_model(name, pooling))
        self.graphdef, self.params, self.frozen = nnx.split(self.model, nnx.PathContains("stream"), ...)

    @functools.cached_property
    def counts(self) -> tuple[int, float]:
        """Those of the forward pass."""
        return count(self.forward, self.params, self.frozen, IMAGES)

    def forward(self, params, frozen, images):
        return nnx.merge(self.graphdef, params, frozen)(images)

    def attribute(self, *methods: str):
        def run(params, frozen, images, labels):
            model = nnx.merge(self.graphdef, params, frozen)
            return api._attribute(model, images, labels, Plan(self.model.target(None), 8, choose_methods(methods)))

        return run

    def loss(self, params, frozen, images, labels):
        logits = self.forward(params, frozen, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


programs = functools.cache(Programs)


@pytest.mark.parametrize("name", NAMES)
def test_the_counters_see_a_backward_pass(name):
    """Were the backbone differentiated, both counts would show it."""
    p = programs(name)
    convolutions, flops = count(jax.grad(p.loss, argnums=1), p.params, p.frozen, IMAGES, LABELS)
    assert convolutions > 1.5 * p.counts[0] > 0
    assert flops > 1.9 * p.counts[1]


@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_pp", "attention"])
@pytest.mark.parametrize("pooling", ["gap", "ca"])
@pytest.mark.parametrize("name", NAMES)
def test_attribution_is_one_forward_pass(name, pooling, method):
    if (pooling, method) == ("gap", "attention"):
        pooling, method = "ca", "attention_scores"  # GAP has no attention
    p = programs(name, pooling)
    convolutions, flops = count(p.attribute(method), p.params, p.frozen, IMAGES, LABELS)
    assert convolutions == p.counts[0]
    assert flops < 1.03 * p.counts[1]


def test_methods_run_through_the_trunk_where_their_records_say_so():
    """All that ask nothing and do not say so have one forward pass together; those that say so have more each."""
    p = Programs("resnet18")
    forward = p.counts[0]
    quiet = [key for key, method in METHODS.items() if not method.through_trunk and method.ask is None]
    assert count(p.attribute(*quiet), p.params, p.frozen, IMAGES, LABELS)[0] == forward
    for key in [key for key, method in METHODS.items() if method.through_trunk]:
        assert count(p.attribute(key), p.params, p.frozen, IMAGES, LABELS)[0] > 1.5 * forward, key


@pytest.mark.parametrize("name", NAMES)
def test_training_the_stream_is_one_forward_pass(name):
    p = programs(name)
    convolutions, flops = count(jax.value_and_grad(p.loss), p.params, p.frozen, IMAGES, LABELS)
    assert convolutions == p.counts[0]
    assert flops < 1.06 * p.counts[1]
