"""Importing the package costs little more than importing JAX and Flax."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import castream_jax as ca

HEAVY = {
    *("array_record", "grain", "jinja2", "matplotlib", "ml_collections", "orbax", "pandas", "PIL", "pyarrow"),
    *("scipy", "skimage", "sklearn", "tensorboardX", "tensorflow", "tensorflow_datasets", "torch"),
}
"""What only a part of the package needs, and takes long to import."""


def modules_after(line: str) -> set[str]:
    """Return the packages that a fresh process has imported after a line of Python."""
    program = f"{line}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(ended.stdout.splitlines()[-1].split())


def test_the_package_and_a_model_are_light():
    found = modules_after("import castream_jax as ca; ca.attribute, ca.evaluate_maps, ca.create_model, ca.load_weights")
    assert {"castream_jax", "jax", "flax"} <= found
    assert not found & HEAVY


@pytest.mark.parametrize(
    "line",
    [
        "import castream_jax",
        "import castream_jax.errors",
        "from castream_jax.cli.main import main; main(['castream', '--help']); main(['castream', '--version'])",
    ],
)
def test_what_needs_no_jax(line):
    found = modules_after(line)
    assert "castream_jax" in found
    assert not found & {"jax", "numpy", "flax", *HEAVY}


def test_every_public_name_has_one_home():
    homes = {name: home for home, names in ca.HOMES.items() for name in names}
    assert sorted(homes) == sorted(ca.__all__)
    assert sum(map(len, ca.HOMES.values())) == len(homes)
    for name, home in homes.items():
        module = importlib.import_module(f"castream_jax.{home}")
        assert getattr(ca, name) is getattr(module, name)
    assert set(ca.__all__) <= set(dir(ca))
    with pytest.raises(AttributeError, match="no attribute 'atribute'"):
        _ = ca.atribute


def test_no_module_hides_a_public_name():
    """Importing `castream_jax.explain` would put a module where the function is."""
    folder = Path(ca.__file__).parent
    assert not set(ca.__all__) & {path.stem for path in folder.iterdir()}


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(ca.__file__).read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        (node.module.removeprefix("castream_jax."), alias.name)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    assert imported == {(home, name) for home, names in ca.HOMES.items() for name in names}
