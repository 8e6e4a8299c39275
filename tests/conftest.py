"""Strict settings for every test: shape types checked, ranks never promoted silently, eight virtual devices."""

import dataclasses
import os
from pathlib import Path

from tests.compiler_flags import FLAGS

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8 {FLAGS}"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import pytest
from absl import flags
from jaxtyping import install_import_hook

from tests.browser import chromium as chromium
from tests.browser import chromium_page as chromium_page
from tests.compiling import compile_in_a_hurry, forget_programs, keep_programs_here, share_programs
from tests.demo_data import SIZES

share_programs()
jax.config.update("jax_numpy_rank_promotion", "raise")
install_import_hook("castream_jax", "beartype.beartype")  # installs at once; the package is not imported yet


PURE = ("attribution", "binding", "compute", "metrics")
"""Folders whose tests may promote no dtype silently: Flax's layers, which do so in bfloat16, are not in them."""


LONG = set(Path(__file__).with_name("long.txt").read_text("utf-8").split())
"""Functions that `make test` leaves to `make long`, as `benchmarks/long_tests.py` chooses them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that take long."""
    for item in items:
        if item.nodeid.split("[")[0] in LONG:
            item.add_marker("long")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Compile in a hurry, but what is compared with the reference as a user's programs are, and keep programs."""
    keep_programs_here()
    compile_in_a_hurry(item.get_closest_marker("optimised") is None)
    jax.config.update("jax_numpy_dtype_promotion", "strict" if item.path.parent.name in PURE else "standard")


@pytest.fixture(scope="session", autouse=True)
def parsed_flags():
    """Grain's workers want parsed flags."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["tests"], known_only=True)


@pytest.fixture(scope="session")
def demo_directory(tmp_path_factory) -> Path:
    """Return a TFDS directory that holds a small `castream_demo`."""
    from castream_jax.data.builders import castream_demo
    from castream_jax.data.source import open_source

    directory = tmp_path_factory.mktemp("tensorflow_datasets")
    with pytest.MonkeyPatch.context() as patch:
        parts = {name: dataclasses.replace(castream_demo.PARTS[name], images=size) for name, size in SIZES.items()}
        patch.setattr(castream_demo, "PARTS", parts)
        open_source("castream_demo", "train", str(directory))
    return directory


@pytest.fixture(scope="module")
def shallow():
    """Let a file's small ResNets be shallow; for `usefixtures`."""
    from tests.networks import shallow_resnets

    with shallow_resnets():
        yield


@pytest.fixture(scope="module")
def remembered():
    """Let a file's runs that ask for equal programs share one, which is then traced once; for `usefixtures`."""
    from tests.compiling import remember_programs

    with pytest.MonkeyPatch.context() as patch:
        remember_programs(patch)
        yield


@pytest.fixture(autouse=True, scope="module")
def programs_of_a_file():
    """Bound the memory of a process that runs many files."""
    yield
    forget_programs()


@pytest.fixture(autouse=True)
def no_records_stay():
    """Forget the methods, metrics and poolings of a user's own that a test named: others must not meet them."""
    from castream_jax.attribution import METHODS
    from castream_jax.metrics import METRICS
    from castream_jax.poolings import POOLINGS

    before = dict(METHODS), dict(METRICS), dict(POOLINGS)
    yield
    for known, was in zip((METHODS, METRICS, POOLINGS), before):
        known.clear()
        known.update(was)
