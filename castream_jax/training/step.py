"""The compiled training step, which serves both stages."""

from collections.abc import Callable

import jax
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from castream_jax.models.classifier import Classifier
from castream_jax.sharding import batched, replicated
from castream_jax.training.state import TrainState

Metrics = dict[str, Array]


def create_train_step(
    graphdef: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    stage: str,
    label_smoothing: float,
    mesh: Mesh,
) -> Callable[[TrainState, nnx.State, dict[str, Array]], tuple[TrainState, Metrics]]:
    """Return the compiled step `(state, frozen, batch) -> (state, metrics)`.

    In stage "stream" only the stream is differentiated: what the backbone computes does not depend on it, so
    nothing runs backward there, and its batch statistics stay as they are. The state is donated.
    Metrics are means over the batch: `loss` and `accuracy`.
    """
    train_backbone = stage == "backbone"

    def train_step(state: TrainState, frozen: nnx.State, batch: dict[str, Array]) -> tuple[TrainState, Metrics]:
        def loss_fn(params: nnx.State) -> tuple[Array, tuple[Array, nnx.State]]:
            model: Classifier = nnx.merge(graphdef, params, state.statistics, frozen, copy=True)
            images = model.normalisation(batch["images"])
            logits, _ = model.head(model.features(images, train=train_backbone))
            loss = cross_entropy(logits, batch["labels"], label_smoothing).mean()
            statistics = nnx.state(model, nnx.BatchStat) if train_backbone else state.statistics
            return loss, (logits, statistics)

        (loss, (logits, statistics)), gradients = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {"loss": loss, "accuracy": (logits.argmax(-1) == batch["labels"]).mean()}
        return TrainState(state.step + 1, params, statistics, opt_state), metrics

    everywhere, split = replicated(mesh), batched(mesh)
    return jax.jit(
        train_step,
        in_shardings=(everywhere, everywhere, split),
        out_shardings=(everywhere, everywhere),
        donate_argnums=0,
    )


def cross_entropy(logits: Float[Array, "B K"], labels: Int[Array, "B"], smoothing: float) -> Float[Array, "B"]:
    """Return each image's cross entropy against its label, smoothed towards uniform."""
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(logits, targets)
