"""oneDNN is asked for where the CPU has AMX, and nowhere else; a device a core; the user's own flags win."""

import os
import subprocess
import sys

import jax
import pytest

from castream_jax.cpu import MOST_DEVICES, ONEDNN, use_onednn_for_bfloat16

AMX = "flags : fpu avx512f amx_bf16 amx_tile\n"


@pytest.mark.parametrize(
    ("flags", "said", "expected"),
    [
        (AMX, "", f"{ONEDNN}=true"),
        (AMX, "--xla_a=1", f"--xla_a=1 {ONEDNN}=true"),
        (AMX, f"{ONEDNN}=false", f"{ONEDNN}=false"),
        ("flags : fpu avx512f avx512_bf16\n", "--xla_a=1", "--xla_a=1"),
    ],
)
def test_the_flag_follows_the_cpu_and_the_user(monkeypatch, tmp_path, flags, said, expected):
    (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setenv("XLA_FLAGS", said)
    use_onednn_for_bfloat16(tmp_path / "cpuinfo")
    assert os.environ["XLA_FLAGS"] == expected


@pytest.mark.parametrize("version", [(0, 13, 0), (1, 0, 0)])
def test_a_jax_that_may_not_know_the_flag_is_left_alone(monkeypatch, tmp_path, version):
    (tmp_path / "cpuinfo").write_text(AMX)
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(jax, "__version_info__", version)
    use_onednn_for_bfloat16(tmp_path / "cpuinfo")
    assert os.environ["XLA_FLAGS"] == ""


def test_a_machine_without_cpuinfo_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("XLA_FLAGS", "")
    use_onednn_for_bfloat16(tmp_path / "cpuinfo")
    assert os.environ["XLA_FLAGS"] == ""


def test_this_jax_knows_the_flag():
    program = "import jax.numpy as jnp; print(int(jnp.ones(3).sum()))"
    environment = os.environ | {"XLA_FLAGS": f"{ONEDNN}=true", "JAX_PLATFORMS": "cpu"}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "3\n"), found.stderr[-500:]


def count_devices(cores: int, batch_size: int, environment: dict[str, str], before: str = "0") -> int:
    """Return how many devices a fresh process has."""
    program = (
        f"import jax; from castream_jax import cpu; cpu.count_cores = lambda: {cores}; {before}; "
        f"cpu.use_cores_as_devices({batch_size}); "
        "print(jax.device_count())"
    )
    base = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")}
    command = [sys.executable, "-c", program]
    found = subprocess.run(
        command, env=base | {"JAX_PLATFORMS": "cpu"} | environment, capture_output=True, text=True, check=True
    )
    return int(found.stdout)


@pytest.mark.parametrize(
    ("cores", "batch_size", "environment", "expected"),
    [
        (2, 16, {}, 2),
        (6, 16, {}, 4),  # no batch is padded
        (1, 16, {}, 1),
        (64, 32, {}, MOST_DEVICES),
        (2, 16, {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}, 3),
        (2, 16, {"JAX_NUM_CPU_DEVICES": "1"}, 1),
    ],
)
def test_cores_become_devices_unless_the_user_says_otherwise(cores, batch_size, environment, expected):
    assert count_devices(cores, batch_size, environment) == expected


def test_devices_stay_as_they_are_once_there():
    assert count_devices(4, 16, {}, before="jax.devices()") == 1
    assert count_devices(4, 16, {}, before="jax.config.update('jax_num_cpu_devices', 3)") == 3


def test_cores_are_those_that_the_process_may_use():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not say which cores a process may use")
    program = "import os; os.sched_setaffinity(0, [0]); from castream_jax.cpu import count_cores; print(count_cores())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout == "1\n"
