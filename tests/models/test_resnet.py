"""ResNeXt and ResNet-D against what torch's networks computed with the same weights (`data/make_resnet.py`)."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import create_model, load_torch_weights
from castream_jax.weights.names import find_scheme
from tests.goldens import assert_close
from tests.models.data.lite_recipe import make_images
from tests.models.data.resnet_recipe import CLASSES, EVERY, SIZES, SPECS, make_weights
from tests.networks import forward

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
CLASS = 7


@functools.cache
def goldens() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "data" / "resnet.npz") as arrays:
        return dict(arrays)


@functools.cache
def network(name: str):
    model = nnx.eval_shape(lambda: create_model(SPECS[name], "gap", CLASSES))
    scheme = find_scheme("torchvision", model.name)
    arrays = [(scheme.key(path), variable.shape) for path, variable in nnx.to_flat_state(nnx.state(model))]
    return load_torch_weights(model, make_weights({key: scheme.shape(key, shape) for key, shape in arrays}))


@functools.cache
def outputs(name: str, size: tuple[int, int]):
    return forward(network(name), jnp.asarray(make_images(*size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SPECS)
def test_logits(name, size):
    assert_close(outputs(name, size)[1], goldens()[f"{name} {size[0]}"], relative=TOLERANCE)


@pytest.mark.parametrize("name", SPECS)
def test_feature_maps_of_odd_images(name):
    features = outputs(name, SIZES[1])[0]
    assert len(features) == 5
    for tap, values in features.items():
        assert_close(values[0, ..., ::EVERY], goldens()[f"{name} {tap}"], relative=TOLERANCE)


def test_the_gradient_of_an_earlier_map_of_groups():
    """Against differences: of `stage3` along a direction, through a strided 3x3 of groups."""
    model, features = network("resnext"), {tap: values[:1] for tap, values in outputs("resnext", SIZES[1])[0].items()}

    @jax.jit
    def logit(feature_map):
        return model.head(model.replace(features, "stage3", feature_map))[0][0, CLASS]

    at = features["stage3"]
    gradient = jax.grad(logit)(at)
    step = 1e-2 * gradient / jnp.linalg.norm(gradient) * jnp.linalg.norm(at)
    change = float(logit(at + step) - logit(at - step))
    assert change == pytest.approx(2 * float(jnp.vdot(gradient, step)), rel=2e-2)
