"""Several devices give what one gives; nothing is computed or copied twice."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax.compute import on_devices
from castream_jax.compute.on_devices import KEPT, Placement, compute_on_devices
from castream_jax.compute.sharding import create_local_mesh, replicated

pytestmark = pytest.mark.slow


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
        assert not array.committed  # combines with arrays anywhere


def test_each_device_computes_its_own_images_alone():
    seen = []

    def look(model, images):
        seen.append(images.shape)
        return images

    compute_on_devices(look, Scale(), (jnp.zeros((20, 3)),))
    assert set(seen) == {(-(-20 // jax.local_device_count()), 3)}


@pytest.mark.parametrize("count", [1, 3])
def test_weights_may_lie_on_many_devices_or_on_another_one(count):
    images = jnp.ones((count, 3))
    for sharding in (replicated(create_local_mesh()), jax.local_devices()[-1]):
        model = Scale()
        nnx.update(model, jax.device_put(nnx.state(model), sharding))
        found = compute_on_devices(weigh, model, (images, jnp.arange(count)), 1)
        np.testing.assert_array_equal(found["sum"], 3.0)


def test_few_programs_stay():
    traced = []

    def look(model, images):
        traced.append(images.shape)
        return images

    for side in range(1, KEPT + 2):
        compute_on_devices(look, Scale(), (jnp.zeros((1, side, 3)),))
    assert on_devices.create_program.cache_info().currsize == KEPT
    count = len(traced)
    compute_on_devices(look, Scale(), (jnp.zeros((1, KEPT + 1, 3)),))
    assert len(traced) == count
    compute_on_devices(look, Scale(), (jnp.zeros((1, 1, 3)),))  # let go of, and compiled again
    assert len(traced) == count + 1


def test_weights_are_copied_when_they_change_and_not_again():
    place, mesh = Placement(), create_local_mesh()
    model = Scale()

    def copy(mesh):
        return jax.tree.leaves(place(nnx.state(model), mesh))[0]

    first = copy(mesh)
    assert len(first.devices()) == mesh.size
    assert len(copy(create_local_mesh(most=2)).devices()) == 2
    assert copy(mesh) is first
    model.factor[...] = model.factor[...] + 1
    np.testing.assert_array_equal(copy(mesh), [1, 2, 3])


def test_copies_end_with_their_arrays():
    place, model = Placement(), Scale()
    copy = weakref.ref(jax.tree.leaves(place(nnx.state(model), create_local_mesh()))[0])
    assert copy() is not None
    del model
    gc.collect()
    assert copy() is None
    assert not place._copies
