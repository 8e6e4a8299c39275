"""Objects that a user names as "module:name", from the current directory or wherever Python finds modules."""

import hashlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from castream_jax.errors import InputError, unknown


def is_address(name: str) -> bool:
    """Return whether a text is meant as "module:name"."""
    return ":" in name


def digest_code(address: str) -> str:
    """Return the sha256 of the file of the module that "module:name" names; empty if there is none to read.

    What that module imports is not looked at.
    """
    module = importlib.util.find_spec(address.partition(":")[0])
    try:
        return hashlib.sha256(Path(module.origin).read_bytes()).hexdigest() if module and module.origin else ""
    except OSError:
        return ""


def import_object(what: str, address: str) -> Any:
    """Return the object that "module:name" names.

    Args:
      what: it is for, as a message begins.
      address: a module as `import` takes it, a colon, and a name in it.

    Raises:
      InputError: there is no such module or name, or the module fails.
    """
    module_name, _, name = address.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *name.split("."))):
        raise InputError(f"{what} {address!r} is no address: expected module:name, as in my_package.maps:my_cam.")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # where `python train.py` was typed; a script's own folder is there already
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # the module is the user's code
        raise InputError(
            f"{what} {address!r}: the module {module_name} cannot be imported ({type(error).__name__}: {error}). "
            "Expected one in the current directory, or on PYTHONPATH."
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise InputError(unknown(f"{what} {address!r}: name in {module_name}:", part, vars(found)))
        found = getattr(found, part)
    return found
