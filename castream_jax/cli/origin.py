"""Which experiment a command line is about: that of a config file, or of the run that a work directory holds."""

import importlib.util
import os
import re
import shlex
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from castream_jax.errors import InputError, unknown
from castream_jax.experiment.record import read_record

PACKAGE = Path(__file__).parent.parent
CONFIGS = next(filter(Path.is_dir, (PACKAGE / "configs", PACKAGE.parent / "configs")), PACKAGE / "configs")
"""Where the configs that are shipped lie: inside an installed package, beside it in a checkout."""
DEFAULT = "demo"


def find_settings(argv: list[str], default: str = DEFAULT) -> tuple[Mapping[str, Any], str, list[str]]:
    """Return the settings that a command line starts from, where they come from, and the rest of the command line.

    They are those of `--config`; without it, those of the run in `--workdir`; without both, the config `default`.

    Raises:
      InputError: no such config, a work directory without a run, settings that are changed of no experiment.
    """
    path, rest = take_config(argv)
    if path:
        return load_config(path), name_config(path), rest
    workdir = find_workdir(rest)
    if workdir and Path(workdir).is_dir() and (settings := recall_settings(Path(workdir))):
        return settings, f"that of {workdir}", rest
    changed = [argument for argument in rest[1:] if re.match(r"--?(?:no)?config\.", argument)]
    if workdir or changed:
        about = f"--workdir {workdir} holds no run yet" if workdir else f"{changed[0].split('=')[0]} is given"
        raise InputError(
            f"{about}, and no --config: name the experiment, as in --config resnet50_ca, or --config {default}, the "
            f"default. Shipped are {', '.join(list_configs())}."
        )
    return load_config(CONFIGS / f"{default}.py"), default, rest


def recall_settings(workdir: Path) -> Mapping[str, Any] | None:
    """Return the settings of the run in a work directory, None if it holds none."""
    recorded = read_record(workdir)
    return recorded.to_dict() if recorded else None


def take_config(argv: list[str]) -> tuple[Path | None, list[str]]:
    """Return the config file that a command line names, if it does, and the rest of the command line."""
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
        raise InputError("--config needs a file or a name, as in --config demo.")
    return find_config(paths[0]) if paths else None, rest


def find_workdir(argv: list[str]) -> str:
    """Return the work directory that a command line names; empty if it names none."""
    for argument, following in zip(argv, [*argv[1:], ""]):
        if match := re.fullmatch(r"--?workdir(?:=(.*))?", argument):
            return following if match[1] is None else match[1]
    return ""


def list_configs() -> list[str]:
    """Return the names of the configs that are shipped."""
    return sorted(file.relative_to(CONFIGS).with_suffix("").as_posix() for file in CONFIGS.rglob("*.py"))


def find_config(text: str) -> Path:
    """Return the config file that a text names: a file, or else one that is shipped: `demo` or `configs/demo.py`."""
    file = Path(text)
    name = text.removeprefix("configs/").removesuffix(".py")
    return CONFIGS / f"{name}.py" if not file.is_file() and name in list_configs() else file


def name_config(path: Path) -> str:
    """Return what a config is called: a shipped one by its name, another one by its path."""
    whole = path.resolve()
    if whole.is_relative_to(CONFIGS.resolve()):
        return whole.relative_to(CONFIGS.resolve()).with_suffix("").as_posix()
    return os.fspath(path)


def load_config(path: Path) -> Mapping[str, Any]:
    """Return what a config file's `get_config()` returns, or raise `InputError`."""
    if not path.is_file():
        known = unknown("config", path.stem, list_configs()).partition(". ")[2]
        raise InputError(f"there is no config file {os.fspath(path)!r}, and none of that name is shipped. {known}")
    loader = SourceFileLoader("config_file", os.fspath(path))  # whatever its suffix is
    module = importlib.util.module_from_spec(ModuleSpec("config_file", loader, origin=os.fspath(path)))
    module.__file__ = os.fspath(path)
    try:
        loader.exec_module(module)
        settings: Mapping[Any, Any] = ConfigDict(module.get_config()).to_dict()
        if odd := [key for key in settings if not isinstance(key, str)]:
            raise InputError(
                f"config file {os.fspath(path)!r} returns the setting {odd[0]!r}: expected names of settings."
            )
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the file is the user's code
        raise InputError(f"config file {os.fspath(path)!r} fails: {type(error).__name__}: {error}") from error
    return settings


def name_command(command: str, program: str) -> str:
    """Return how another command is typed by somebody who typed `program`: a script, or `castream` and a command."""
    script = Path(program).with_name(f"{command}.py")
    return f"python {shlex.quote(os.fspath(script))}" if program.endswith(".py") else f"castream {command}"


def retype(command: str, argv: list[str]) -> str:
    """Return the command line of another command on the same experiment, as it is typed where `argv` was."""
    kept = []
    for argument, following in zip(argv[1:], [*argv[2:], ""]):
        if re.match(r"--?(no)?(config|workdir)\b", argument):
            kept += [argument] if "=" in argument or argument.startswith("--noconfig") else [argument, following]
    return shlex.join([*shlex.split(name_command(command, argv[0])), *kept])
