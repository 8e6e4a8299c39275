"""Where arrays live: one mesh over all devices, data parallel along its only axis."""

from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from castream_jax.errors import InputError

DATA = "data"


def create_mesh() -> Mesh:
    """Return the mesh of all devices of all processes."""
    return jax.make_mesh((jax.device_count(),), (DATA,), axis_types=(jax.sharding.AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Return the sharding of what every device holds whole: model and optimizer."""
    return NamedSharding(mesh, PartitionSpec())


def batched(mesh: Mesh) -> NamedSharding:
    """Return the sharding of a batch: its first axis is split over the devices."""
    return NamedSharding(mesh, PartitionSpec(DATA))


def check_batch_size(name: str, batch_size: int, mesh: Mesh) -> None:
    """Raise `InputError` if a batch cannot be split evenly."""
    if batch_size % mesh.size:
        raise InputError(
            f"{name} is {batch_size}: with {mesh.size} devices it must be a multiple of {mesh.size}, "
            f"as {-(-batch_size // mesh.size) * mesh.size}."
        )


def shard_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Return each process's part of a batch as arrays of the whole batch, split over the devices."""
    sharding = batched(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, array) for name, array in batch.items()}
