"""How every script starts: flags to an `Experiment`, and a user's mistake to one message and exit code 2."""

import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from castream_jax import config
from castream_jax.errors import InputError, unknown

ROOT = Path(__file__).parent.parent
DEFAULT_CONFIG = ROOT / "configs" / "demo.py"


def run(main: Callable[..., None], description: str, argv: list[str] | None = None, **options: str) -> None:
    """Read the flags, call `main(experiment, workdir, **options)`, and exit.

    Args:
      main: the script; it takes the experiment, the work directory, and the text of each option.
      description: what `--help` says first.
      argv: the command line; the process's own by default.
      options: the script's own flags, and what `--help` says of each; a flag that is not given is "".

    Exit codes: 0, or 2 after an `InputError`, whose message is all that is printed. Other exceptions are
    our own mistakes and keep their traceback.
    """
    argv = sys.argv if argv is None else argv
    show_log()
    try:
        if set(argv[1:]) & {"--help", "-h", "-help", "--helpfull"}:
            own = "".join(f"\n  {f'--{name} VALUE':<23}{text}" for name, text in options.items())
            print(f"{description}\n\n{USAGE}{own}")
            return
        experiment, workdir, values = parse_flags(argv, list(options))
        main(experiment, workdir, **values)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


USAGE = """Flags:
  --config FILE          the experiment: a file of configs/ (default: configs/demo.py)
  --config.KEY=VALUE     change one of its settings, as in --config.stream.epochs=3
  --workdir DIR          where checkpoints, logs and reports go (default: runs/<the experiment's name>)"""


def show_log() -> None:
    """Show what the package logs, and of other packages no more than warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("castream_jax")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


def parse_flags(argv: list[str], options: Sequence[str] = ()) -> tuple[config.Experiment, Path, dict[str, str]]:
    """Return the experiment, the work directory and the options of a command line, or raise `InputError`."""
    path, argv = take_config(argv)
    settings = load_config(path)
    _check_overrides(argv, settings)
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict("config", ConfigDict(settings), flag_values=values, sys_argv=argv)
    for name in ("workdir", *options):
        flags.DEFINE_string(name, "", "", flag_values=values)
    try:
        rest = values(argv)
    except Exception as error:  # ml_collections raises many kinds; all of them are about the command line
        raise InputError(str(error).strip().splitlines()[0]) from error
    if rest[1:]:
        raise InputError(f"unexpected argument {rest[1]!r}: write flags as --name=value.")
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(argv[:1])  # grain's workers want the global flags parsed
    experiment = config.from_dict(values.config.to_dict())
    workdir = Path(values.workdir or Path("runs") / experiment.name)
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"--workdir {workdir} is a file: expected a directory.")
    return experiment, workdir, {name: str(values[name].value) for name in options}


def take_config(argv: list[str]) -> tuple[Path, list[str]]:
    """Return the config file that a command line names, and the rest of the command line."""
    paths: list[str] = []
    rest: list[str] = []
    arguments = iter(argv)
    for argument in arguments:
        if match := re.fullmatch(r"--?config=(.*)", argument):
            paths.append(match[1])
        elif argument in ("--config", "-config"):
            paths.append(next(arguments, ""))
        else:
            rest.append(argument)
    if len(paths) > 1:
        raise InputError(f"--config is given twice, {' and '.join(paths)}: one experiment at a time.")
    if paths == [""]:
        raise InputError("--config needs a file, as in --config configs/demo.py.")
    return Path(paths[0]) if paths else DEFAULT_CONFIG, rest


def load_config(path: Path) -> Mapping[str, Any]:
    """Return what a config file's `get_config()` returns, or raise `InputError`."""
    if not path.is_file():
        known = ", ".join(sorted(f"configs/{file.name}" for file in DEFAULT_CONFIG.parent.glob("*.py")))
        raise InputError(f"there is no config file {os.fspath(path)!r}. Configs here: {known}.")
    spec = importlib.util.spec_from_file_location("config_file", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return ConfigDict(module.get_config()).to_dict()
    except InputError:
        raise
    except Exception as error:  # the file is the user's code
        raise InputError(f"config file {os.fspath(path)!r} fails: {type(error).__name__}: {error}") from error


def _check_overrides(argv: list[str], settings: Mapping[str, Any]) -> None:
    """Raise `InputError` for an override of a setting that does not exist."""
    for argument in argv[1:]:
        match = re.match(r"--?(?:no)?config\.([^=]+)", argument)
        group: Any = settings
        for key in match[1].split(".") if match else ():
            if not isinstance(group, Mapping):
                raise InputError(f"{argument}: there are no settings below this one.")
            if key not in group:
                raise InputError(f"{argument}: " + unknown("setting", key, group))
            group = group[key]
