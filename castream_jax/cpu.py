"""Settings of a process that computes on a CPU, made by the scripts before JAX starts."""

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
