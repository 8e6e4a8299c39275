"""Flags that make XLA compile tests in less time; read before JAX is imported, which this does not do."""

from importlib.metadata import version

KNOWN = "0.10."
"""The jaxlib that is known to have the flags: XLA ends a process over one that it does not know, as 0.12 does not."""
FLAGS = (
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    if version("jaxlib").startswith(KNOWN)
    else ""
)
"""They leave out what takes most of the time that is left without optimisations, and cut no program into parts for many
cores: two workers have none to spare, and a program in parts takes twice as long."""
