"""What training changes, and what it never does."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from castream_jax.poolings.choosing import PARTS_OF_A_NETWORK


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """All that a step reads and writes."""

    step: Any
    """Steps taken, an int32 scalar."""
    params: nnx.State
    """Trainable: the whole GAP network in stage `backbone`, the poolings in stage `stream`."""
    statistics: nnx.State
    """Batch statistics that move: all in stage `backbone`, none in stage `stream`."""
    opt_state: optax.OptState
    average: tuple[nnx.State, nnx.State] | None = None
    """Moving averages of params and statistics, where the stage asks for them."""

    @property
    def result(self) -> tuple[nnx.State, nnx.State]:
        """What the stage is trained for: the averages of params and statistics where kept, else these themselves."""
        return self.average or (self.params, self.statistics)


OF_POOLINGS = nnx.All(nnx.Param, *(nnx.Not(nnx.PathContains(part)) for part in PARTS_OF_A_NETWORK))
FILTERS: dict[str, tuple[Any, Any, Any]] = {
    "backbone": (nnx.Param, nnx.BatchStat, ...),
    "stream": (OF_POOLINGS, nnx.Nothing(), ...),
}
"""What of a network is (params, statistics, frozen) in each stage of training."""


def split_state(state: nnx.State, stage: str) -> tuple[nnx.State, nnx.State, nnx.State]:
    """Return (params, statistics, frozen) of a network's state in a stage, "backbone" or "stream"."""
    params, statistics, frozen = nnx.split_state(state, *FILTERS[stage])
    return params, statistics, frozen


def create_state(
    params: nnx.State, statistics: nnx.State, optimizer: optax.GradientTransformation, averaged: bool = False
) -> TrainState:
    """Return the state before the first step."""
    # Copies: a step is given the whole state's memory, and cannot be given the same array twice.
    average = jax.tree.map(jnp.copy, (params, statistics)) if averaged else None
    return TrainState(jnp.zeros((), jnp.int32), params, statistics, optimizer.init(params), average)


def model_state(state: TrainState, frozen: nnx.State) -> nnx.State:
    """Return all arrays of the network that training is for: those trained, or their averages, and the frozen."""
    return nnx.merge_state(*state.result, frozen)


def as_trees(state: TrainState, frozen: nnx.State) -> dict[str, Any]:
    """Return the trees that a checkpoint holds: the network, and what else training goes on from."""
    training = {"step": state.step, "opt_state": state.opt_state}
    if state.average:
        training |= {"params": state.params, "statistics": state.statistics}
    return {"model": model_state(state, frozen), "training": training}


def from_trees(trees: dict[str, Any], stage: str) -> tuple[TrainState, nnx.State]:
    """Return the state and the frozen arrays that a checkpoint holds."""
    params, statistics, frozen = split_state(trees["model"], stage)
    training = trees["training"]
    average = (params, statistics) if "params" in training else None
    if average:
        params, statistics = training["params"], training["statistics"]
    return TrainState(training["step"], params, statistics, training["opt_state"], average), frozen


def update_average(
    average: tuple[nnx.State, nnx.State], new: tuple[nnx.State, nnx.State], decay: float, step: jax.Array
) -> tuple[nnx.State, nnx.State]:
    """Return the averages after `step` steps were taken before this one.

    The decay rises from 0.1 as (1 + step) / (10 + step) up to `decay`, so that the first steps are soon forgotten.
    """
    warm = jnp.minimum(decay, (1 + step) / (10 + step))
    return optax.incremental_update(new, average, 1 - warm)
