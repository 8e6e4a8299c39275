"""Several devices give what one gives; nothing is computed or copied twice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import parallel
from castream_jax.parallel import Placement, compute_on_devices
from castream_jax.sharding import create_local_mesh


class Scale(nnx.Module):
    def __init__(self):
        self.factor = nnx.Param(jnp.arange(3.0))


def weigh(model, images, labels, power):
    return {"sum": (images @ model.factor[...]) ** power, "labels": labels}


@pytest.mark.parametrize("count", [1, 2, 8, 11, 16])
def test_any_number_of_images_on_any_number_of_devices(count):
    images, labels = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32), np.arange(count)
    found = compute_on_devices(weigh, Scale(), (jnp.asarray(images), jnp.asarray(labels)), 2)
    np.testing.assert_allclose(found["sum"], (images @ np.arange(3.0)) ** 2, rtol=1e-4)
    np.testing.assert_array_equal(found["labels"], labels)
    for array in found.values():
        assert array.devices() == {jax.local_devices()[0]}


def test_each_device_computes_its_own_images_alone():
    seen = []

    def look(model, images):
        seen.append(images.shape)
        return images

    compute_on_devices(look, Scale(), (jnp.zeros((20, 3)),))
    assert set(seen) == {(-(-20 // jax.local_device_count()), 3)}


def test_weights_are_copied_when_they_change_and_not_again():
    place, mesh = Placement(), create_local_mesh()
    model = Scale()
    first = place(nnx.state(model), mesh)
    assert jax.tree.leaves(place(nnx.state(model), mesh))[0] is jax.tree.leaves(first)[0]
    model.factor[...] = model.factor[...] + 1
    changed = jax.tree.leaves(place(nnx.state(model), mesh))[0]
    np.testing.assert_array_equal(changed, [1, 2, 3])
    assert len(changed.devices()) == mesh.size
    smaller = create_local_mesh(most=2)
    assert len(jax.tree.leaves(place(nnx.state(model), smaller))[0].devices()) == 2


def test_one_device_takes_the_weights_where_they_are():
    state = nnx.state(Scale())
    assert parallel._place(state, create_local_mesh(most=1)) is state
