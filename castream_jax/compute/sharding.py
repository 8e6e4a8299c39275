"""Where arrays live: one mesh over all devices of all processes, data parallel along its only axis."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from castream_jax.errors import InputError

DATA = "data"
BY_IMAGE = PartitionSpec(DATA)
AHEAD = 2
"""Batches that are on the devices, or on their way there, before they are needed."""


def start_processes(address: str) -> None:
    """Join the other processes of a run; must come before anything asks JAX for its devices.

    Args:
      address: "auto" where JAX finds out by itself (TPU pod slices, SLURM, Open MPI, Kubernetes), or
        "HOST:PORT,PROCESS,PROCESSES": where process 0 listens, which one this is, and how many there are.

    Raises:
      InputError: the address is neither, or there is nothing to find out.
    """
    arguments: dict[str, Any] = {}
    if address != "auto":
        coordinator, *numbers = address.split(",")
        if len(numbers) != 2 or not all(re.fullmatch("[0-9]+", number) for number in numbers) or ":" not in coordinator:
            raise InputError(f"--distributed is {address!r}: expected auto, or HOST:PORT,PROCESS,PROCESSES.")
        process, processes = map(int, numbers)
        if process >= processes:
            raise InputError(f"--distributed is {address!r}: expected a process from 0 to below their number.")
        arguments = {"coordinator_address": coordinator, "num_processes": processes, "process_id": process}
    try:
        jax.distributed.initialize(**arguments)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"--distributed={address}: the processes of this run do not find each other ({error}). "
            "Expected: every process started at about the same time, with the same HOST:PORT, which all can reach."
        ) from error


def create_mesh() -> Mesh:
    """Return the mesh of all devices of all processes."""
    return jax.make_mesh((jax.device_count(),), (DATA,), axis_types=(jax.sharding.AxisType.Auto,))


def create_local_mesh(most: int | None = None) -> Mesh:
    """Return the mesh of this process's own devices, or of the first ones where `most` are wanted."""
    return Mesh(np.array(jax.local_devices()[:most]), (DATA,), axis_types=(jax.sharding.AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Return the sharding of what every device holds whole: model and optimizer."""
    return NamedSharding(mesh, PartitionSpec())


def batched(mesh: Mesh) -> NamedSharding:
    """Return the sharding of a batch: its first axis is split over the devices."""
    return NamedSharding(mesh, BY_IMAGE)


def split_images(function: Callable[[Any, Any], Any], mesh: Mesh, results: Any = BY_IMAGE) -> Callable[[Any, Any], Any]:
    """Return `function(state, batch)` with every device at work on its own images, waiting for no other.

    Left to XLA, a loop over images would gather all of them on every device.

    Args:
      function: treats each image of a batch, a tree of arrays [B ...], by itself.
      mesh: of the devices; B must be a multiple of their number.
      results: how what it returns is split over the devices; by default along the first axis.
    """
    return jax.shard_map(function, mesh=mesh, in_specs=(PartitionSpec(), BY_IMAGE), out_specs=results, check_vma=False)


def round_up(images: int, mesh: Mesh) -> int:
    """Return the least number of images, not below `images`, that splits evenly over the devices."""
    return -(-images // mesh.size) * mesh.size


def check_batch_size(name: str, batch_size: int, parts: int) -> None:
    """Raise `InputError` if a batch cannot be split evenly over the devices."""
    if batch_size % parts:
        raise InputError(
            f"{name} is {batch_size}: with {jax.device_count()} devices it must be a multiple of {parts}, "
            f"as {-(-batch_size // parts) * parts}."
        )


def anywhere(answer: bool) -> bool:
    """Return whether the answer is true in any process; waits for all of them."""
    return bool(np.any(multihost_utils.process_allgather(np.asarray(answer))))


def first_process(answer: int) -> int:
    """Return the first process's answer in all processes."""
    return int(multihost_utils.broadcast_one_to_all(np.asarray(answer)))


def wait_for_all(reached: str) -> None:
    """Return once every process has reached this point, by its name."""
    multihost_utils.sync_global_devices(reached)


def add_over_processes(number: int) -> int:
    """Return the sum of every process's number."""
    return int(np.sum(multihost_utils.process_allgather(np.asarray(number))))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Return a tree of arrays, the same in every process, as arrays that every device holds whole."""
    sharding = replicated(mesh)

    def place(leaf: Any) -> jax.Array:
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(place, tree)


def shard_batch(batch: Mapping[str, Any], mesh: Mesh) -> dict[str, Any]:
    """Return each process's part of a batch, a tree of arrays, as arrays of the whole, split over the devices."""
    sharding = batched(mesh)
    return jax.tree.map(lambda array: jax.make_array_from_process_local_data(sharding, array), dict(batch))
