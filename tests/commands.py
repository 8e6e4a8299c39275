"""Commands as a user types them, in the process of a test: what they print, and the exit code they end with."""

import logging
import runpy
import sys
import warnings

import pytest

from castream_jax.cli.main import main
from tests.documented import ROOT


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run `python …` or `castream …` in this process; return its exit code, and what it printed."""
    loggers = [logging.getLogger(name) for name in ("castream_jax", "absl", "asyncio")]
    before = [(log.handlers, log.propagate, log.level) for log in loggers]
    hook, argv = sys.unraisablehook, sys.argv
    code = 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)
        try:
            if words[0] == "castream":
                main(words)
            elif words[1] == "-m":
                sys.argv = words[2:]
                runpy.run_module(words[2], run_name="__main__", alter_sys=True)
            else:
                sys.argv = words[1:]
                runpy.run_path(str(ROOT / words[1]), run_name="__main__")
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        finally:
            sys.unraisablehook, sys.argv = hook, argv
            for log, (handlers, propagate, level) in zip(loggers, before):
                log.handlers, log.propagate = handlers, propagate
                log.setLevel(level)
    printed = capsys.readouterr()
    return code, printed.out + printed.err
