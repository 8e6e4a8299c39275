"""Command lines that name no experiment."""

import argparse
from typing import NoReturn

from castream_jax.errors import InputError


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are ours to print."""

    def error(self, message: str) -> NoReturn:
        """Raise `InputError`."""
        raise InputError(f"{message}. See {self.prog} --help.")
