"""What `pip install` brings: the command, the configs and all files that the package reads, outside the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "castream_jax"
CONFIGS = sorted((ROOT / "configs").rglob("*.py"))

pytest.importorskip("setuptools", minversion="77", reason="the wheel is built by setuptools 77 or newer: extra dev")


def python(*words: str, folder: Path, site: str = "") -> str:
    """Run Python in a folder, with what is installed in `site` before all else; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "XLA_FLAGS")}
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment | ({"PYTHONPATH": site} if site else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Return a folder with the package installed from its wheel, and nothing else."""
    source, wheels, site = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "site"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in (PACKAGE, ROOT / "configs"):
        shutil.copytree(folder, source / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = ("-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check")
    build = ("wheel", "--no-deps", "--no-build-isolation", "--no-index")
    python(*pip, *build, f"--wheel-dir={wheels}", str(source), folder=wheels)
    (wheel,) = wheels.iterdir()
    python(*pip, "install", "--no-deps", "--no-index", "--no-compile", f"--target={site}", str(wheel), folder=wheels)
    return site


def test_it_holds_every_file_of_the_package(site):
    expected = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file()}
    expected = {path for path in expected if "__pycache__" not in path.parts}
    expected |= {path.relative_to(ROOT) for path in CONFIGS}
    installed = site / "castream_jax"
    assert {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()} == expected
    assert {path.suffix for path in expected} > {".py", ".jinja", ".txt"}
    assert (installed / "py.typed").is_file()


def test_the_command_runs_outside_the_repository(site, tmp_path):
    said = python(str(site / "bin" / "castream"), "--help", folder=tmp_path, site=str(site))
    assert "Usage: castream COMMAND" in said


READS = """
import castream_jax
from castream_jax.cli.command import parse_flags
from castream_jax.cli.origin import CONFIGS, list_configs
from castream_jax.weights.known import read_imagenet_classes
for name in list_configs():
    print(name, parse_flags(["castream train", f"--config={name}"]).experiment.name)
assert len(read_imagenet_classes()) == 1000
print(castream_jax.__file__)
print(CONFIGS)
"""


def test_every_config_is_found_by_its_name(site, tmp_path):
    *names, package, configs = python("-c", READS, folder=tmp_path, site=str(site)).splitlines()
    inside = sorted(path.relative_to(ROOT / "configs").with_suffix("").as_posix() for path in CONFIGS)
    assert names == [f"{name} {Path(name).name}" for name in inside]
    assert package == str(site / "castream_jax" / "__init__.py")
    assert configs == str(site / "castream_jax" / "configs")
