"""Settings of a process that computes on a CPU, made by the scripts before JAX starts."""

import contextlib
import os
from pathlib import Path

import jax

ONEDNN = "--xla_cpu_experimental_onednn_custom_call"
KNOWN = (0, 12)
"""The newest minor version of JAX that is known to have the flag: XLA ends a process over one that it does not know."""


def use_onednn_for_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Let XLA call oneDNN where the CPU multiplies bfloat16 in AMX tiles, for which XLA has no kernels of its own.

    To be called before anything asks JAX for its devices. A user who names the flag in XLA_FLAGS decides.
    """
    said = os.environ.get("XLA_FLAGS", "")
    if jax.__version_info__[:2] > KNOWN or ONEDNN in said or not cpuinfo.is_file():
        return
    if "amx_bf16" in cpuinfo.read_text().split():
        os.environ["XLA_FLAGS"] = f"{said} {ONEDNN}=true".strip()


MOST_DEVICES = 8
"""Each holds the weights, and a chunk of images, once more."""


def count_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_cores_as_devices(batch_size: int) -> None:
    """Let JAX see the CPU as one device for each core, as many of them as share a batch evenly.

    A device computes its own images and waits for no other: with 2 cores, ResNet-50 took 1.1 to 1.3 times as many
    images as when both cores compute every layer together. To be called before anything asks JAX for its devices, and
    without effect afterwards. What a user says in XLA_FLAGS or JAX_NUM_CPU_DEVICES counts, and processes of one run
    (`--distributed`) are left alone: they may share the cores.
    """
    said_to_xla = "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if said_to_xla or jax.config.values["jax_num_cpu_devices"] > 0 or jax.distributed.is_initialized():
        return
    most = min(count_cores(), MOST_DEVICES)
    with contextlib.suppress(RuntimeError):  # JAX has its devices already
        jax.config.update("jax_num_cpu_devices", max(n for n in range(1, most + 1) if batch_size % n == 0))
