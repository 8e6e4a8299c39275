"""The golden data (golden/FORMAT.md): its inputs, networks with its weights, and comparison within a tolerance."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from castream_jax import Classifier, create_model, cross_attention_pool, load_torch_weights
from tests.golden.recipe import make_weights

DIRECTORY = Path(__file__).parent / "golden"
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
SEED = 11


@functools.cache
def read(name: str) -> dict[str, np.ndarray]:
    """Return the arrays of one golden file."""
    with np.load(DIRECTORY / f"{name}.npz") as arrays:
        return dict(arrays)


@functools.cache
def state_dict_keys() -> dict[str, dict[str, tuple[int, ...]]]:
    """Return the shape of every torch key of the 8 golden networks, without those that only count batches."""
    table = json.loads((DIRECTORY / "state_dict_keys.json").read_text())
    return {
        name: {key: tuple(shape) for key, shape in keys if not key.endswith("num_batches_tracked")}
        for name, keys in table.items()
    }


@functools.cache
def images(prefix: str = "") -> jax.Array:
    """Return normalised images: the batch of 8, or for `ns_` one of 192x256 and for `odd_` one of 199x233."""
    inputs = read("inputs")
    if prefix:
        pixels = inputs[{"ns_": "nonsquare_192x256_u8", "odd_": "odd_199x233_u8"}[prefix]].astype(np.float32) / 255
    else:
        noise = np.random.default_rng(7).random((4, 224, 224, 3)).astype(np.float32)
        pixels = np.concatenate([inputs["images_u8"].astype(np.float32) / 255, noise])
    return jnp.asarray((pixels - MEAN.reshape(1, 1, 1, 3)) / STD.reshape(1, 1, 1, 3))


@functools.cache
def state_dict(name: str, pooling: str = "ca", num_classes: int = 1000) -> dict[str, np.ndarray]:
    """Return the recipe's weights by torch's names."""
    return make_weights(f"{name}_stream" if pooling == "ca" else name, SEED, num_classes)


@functools.cache
def network(name: str, pooling: str = "ca", num_classes: int = 1000) -> Classifier:
    """Return a network with the recipe's weights; shared by tests, so not to be changed."""
    abstract = nnx.eval_shape(lambda: create_model(name, pooling, num_classes))
    return load_torch_weights(abstract, state_dict(name, pooling, num_classes))


@functools.cache
def forward(name: str, prefix: str = "", num_classes: int = 1000) -> dict:
    """Return the `features`, every block's `queries`, and each pooling's `logits` and `attention`, of one pass."""
    graphdef, state = nnx.split(network(name, "ca", num_classes))

    @jax.jit
    def run(state: nnx.State, images: jax.Array) -> dict:
        model = nnx.merge(graphdef, state)
        features = model.features(images)
        queries = [jnp.tile(model.stream.query[...][None], (len(images), 1))]  # [B C] each
        for tap, projection in zip(model.backbone.taps, model.stream.projections, strict=True):
            queries.append(projection(cross_attention_pool(queries[-1], features[tap])[0]))
        heads = {pooling: part.head(features) for pooling, part in model.poolings().items()}
        return {"features": features, "queries": queries} | {
            pooling: {"logits": logits, "attention": attention} for pooling, (logits, attention) in heads.items()
        }

    return run(state, images(prefix))


def assert_close(actual, expected, *, relative: float | None = None, absolute: float | None = None) -> None:
    """Compare arrays by their largest difference: `relative` to the largest expected value, or `absolute`."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    limit = absolute if relative is None else relative * np.abs(expected).max()
    difference = np.abs(actual - expected).max()
    assert difference <= limit, f"largest difference {difference:.3g}, allowed {limit:.3g}"
