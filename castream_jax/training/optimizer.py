"""The two recipes of METHOD 5 as optax transformations. Weight decay reaches every parameter, the token too."""

from typing import Any

import jax
import optax

from castream_jax.config import StageConfig

TRAINED, KEPT = "trained", "kept"


def create_optimizer(stage: StageConfig, total_steps: int, parts: tuple[str, ...] = ()) -> optax.GradientTransformation:
    """Return the optimizer of a stage.

    Args:
      stage: its settings.
      total_steps: that it takes.
      parts: the names of what is trained side by side, each with an optimizer of its own: what clips the gradients of
        one does not see those of another. None or one: one optimizer for all.
    """
    if len(parts) > 1:
        return optax.partition({part: _create_for_one(stage, total_steps) for part in parts}, label_parts)
    return _create_for_one(stage, total_steps)


def _create_for_one(stage: StageConfig, total_steps: int) -> optax.GradientTransformation:
    """Return the optimizer of the network, or of one pooling."""
    every = _create_for_all(stage, total_steps)
    if not stage.keep_last_projection:
        return every
    return optax.partition({TRAINED: every, KEPT: optax.set_to_zero()}, label_params)


def _create_for_all(stage: StageConfig, total_steps: int) -> optax.GradientTransformation:
    """Return what a stage does with each parameter that it trains."""
    rate = create_schedule(stage, total_steps)
    clip = [optax.clip_by_global_norm(stage.clip_norm)] if stage.clip_norm else []
    if stage.optimizer == "sgd":  # torch's: decay is added to the gradient, momentum is not dampened
        return optax.chain(*clip, optax.add_decayed_weights(stage.weight_decay), optax.sgd(rate, stage.momentum))
    return optax.chain(*clip, optax.adamw(rate, weight_decay=stage.weight_decay))


def label_parts(params: Any) -> Any:
    """Return a tree of the names of the parts that parameters belong to."""
    paths = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(params)]
    return jax.tree.unflatten(jax.tree.structure(params), [path.split(".")[0] for path in paths])


def label_params(params: Any) -> Any:
    """Return a tree of `TRAINED`, and `KEPT` for a stream's last projection."""
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(params)]
    blocks = [int(name.split("projections.")[1].split(".")[0]) for name in names if "projections." in name]
    last = f"projections.{max(blocks, default=-1)}."
    return jax.tree.unflatten(jax.tree.structure(params), [KEPT if last in name else TRAINED for name in names])


def create_schedule(stage: StageConfig, total_steps: int) -> optax.Schedule:
    """Return the learning rate as a function of the step."""
    if stage.schedule == "steps":
        drops = {max(1, round(total_steps * third / 3)): 0.1 for third in (1, 2)}
        return optax.piecewise_constant_schedule(stage.learning_rate, drops)
    warmup = round(stage.warmup * total_steps)
    return optax.warmup_cosine_decay_schedule(
        0.0 if warmup else stage.learning_rate, stage.learning_rate, warmup, max(total_steps, warmup + 1)
    )
