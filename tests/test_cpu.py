"""oneDNN is asked for where the CPU has AMX, and nowhere else; the user's own flag wins."""

import os
import subprocess
import sys

import jax
import pytest

from castream_jax.cpu import ONEDNN, use_onednn_for_bfloat16

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
