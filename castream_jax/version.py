"""The version, which packaging reads too, and those of the libraries that numbers depend on."""

from collections.abc import Iterable
from importlib import metadata

VERSION = "0.1.0"


def collect_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return our version and those of installed libraries, by name."""
    return {"castream_jax": VERSION} | {name: metadata.version(name) for name in libraries}
