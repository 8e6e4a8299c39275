"""The two recipes of METHOD 5 as optax transformations. Weight decay reaches every parameter, the token too."""

import optax

from castream_jax.config import StageConfig


def create_optimizer(stage: StageConfig, total_steps: int) -> optax.GradientTransformation:
    """Return the optimizer of a stage that takes `total_steps` steps."""
    rate = create_schedule(stage, total_steps)
    clip = [optax.clip_by_global_norm(stage.clip_norm)] if stage.clip_norm else []
    if stage.optimizer == "sgd":  # torch's: decay is added to the gradient, momentum is not dampened
        return optax.chain(*clip, optax.add_decayed_weights(stage.weight_decay), optax.sgd(rate, stage.momentum))
    return optax.chain(*clip, optax.adamw(rate, weight_decay=stage.weight_decay))


def create_schedule(stage: StageConfig, total_steps: int) -> optax.Schedule:
    """Return the learning rate as a function of the step."""
    if stage.schedule == "steps":
        drops = {max(1, round(total_steps * third / 3)): 0.1 for third in (1, 2)}
        return optax.piecewise_constant_schedule(stage.learning_rate, drops)
    warmup = round(stage.warmup * total_steps)
    return optax.warmup_cosine_decay_schedule(
        0.0 if warmup else stage.learning_rate, stage.learning_rate, warmup, max(total_steps, warmup + 1)
    )
