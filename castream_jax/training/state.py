"""What training changes, and what it never does."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """All that a step reads and writes."""

    step: Any
    """Steps taken, an int32 scalar."""
    params: nnx.State
    """Trainable: the whole GAP network in stage `backbone`, the stream in stage `stream`."""
    statistics: nnx.State
    """Batch statistics that move: all in stage `backbone`, none in stage `stream`."""
    opt_state: optax.OptState


FILTERS: dict[str, tuple[Any, Any, Any]] = {
    "backbone": (nnx.Param, nnx.BatchStat, ...),
    "stream": (nnx.PathContains("stream"), nnx.Nothing(), ...),
}
"""What of a network is (params, statistics, frozen) in each stage of training."""


def split_state(state: nnx.State, stage: str) -> tuple[nnx.State, nnx.State, nnx.State]:
    """Return (params, statistics, frozen) of a network's state in a stage, "backbone" or "stream"."""
    params, statistics, frozen = nnx.split_state(state, *FILTERS[stage])
    return params, statistics, frozen


def create_state(params: nnx.State, statistics: nnx.State, optimizer: optax.GradientTransformation) -> TrainState:
    """Return the state before the first step."""
    return TrainState(jnp.zeros((), jnp.int32), params, statistics, optimizer.init(params))
