"""How a command on an experiment starts: flags to an `Experiment`, and a mistake to one message and exit code 2."""

import collections
import difflib
import gc
import logging
import os
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
from absl import flags
from ml_collections import ConfigDict, config_flags

from castream_jax import config
from castream_jax.cli.ending import ends_in_a_message
from castream_jax.cli.origin import DEFAULT, find_settings, list_configs, retype
from castream_jax.compute.sharding import start_processes
from castream_jax.cpu import use_onednn_for_bfloat16
from castream_jax.errors import InputError, NotTrained, printable, unknown
from castream_jax.storage.compiled_programs import keep_compiled_programs
from castream_jax.storage.limits import check_address_space, check_open_files

log = logging.getLogger(__name__)

SELDOM = 100_000, 20, 100
"""How often Python looks for garbage (`gc.set_threshold`): as often as usual, it takes a fifth of the time in which
programs are traced, whose millions of small objects are no garbage."""


def run(
    main: Callable[..., object],
    description: str,
    argv: list[str] | None = None,
    switches: Mapping[str, str] = MappingProxyType({}),
    arguments: str = "",
    prepare: Callable[[config.Experiment], None] = lambda _: None,
    default: str = DEFAULT,
    **options: str,
) -> None:
    """Read the flags, call `main(experiment, workdir, **options)`, and exit.

    Args:
      main: the work; it takes the experiment, the work directory, the text of each option and the state of each
        switch.
      description: what `--help` says first.
      argv: the command line; the process's own by default.
      switches: the command's own flags that are on or off, and what `--help` says of each.
      arguments: what `--help` says of the arguments that are no flags; `main` gets them as the list `arguments`.
        Empty: there are none.
      prepare: what must be done before anything asks JAX for its devices.
      default: the config of a command line that names none, and no work directory that holds a run.
      options: those with a text; one that is not given is "".

    Mistakes and what the machine lacks end in one message (`ending`).
    """
    argv = sys.argv if argv is None else argv
    gc.set_threshold(*SELDOM)
    with ends_in_a_message():
        show_log()
        check_open_files()
        check_address_space()
        use_onednn_for_bfloat16()
        if set(argv[1:]) & {"--help", "-h", "-help", "--helpfull"}:
            own = [f"\n  {f'--{name}':<23}{text}" for name, text in switches.items()]
            own += [f"\n  {f'--{name} VALUE':<23}{text}" for name, text in options.items()]
            taken = f"Arguments: {arguments}\n\n" if arguments else ""
            configs = textwrap.fill(", ".join(list_configs()), 90).replace("\n", "\n" + 25 * " ")
            print(f"{description}\n\n{taken}{USAGE.format(configs=configs, default=default)}{''.join(own)}")
            return
        line = parse_flags(argv, list(options), list(switches), bool(arguments), default)
        if line.compile_cache:
            keep_compiled_programs(line.compile_cache)
        if line.distributed:
            start_processes(line.distributed)
            if jax.process_index():  # one process speaks for all
                logging.getLogger("castream_jax").setLevel(logging.WARNING)
        prepare(line.experiment)
        announce(line)
        try:
            main(line.experiment, line.workdir, **line.options, **({"arguments": line.arguments} if arguments else {}))
        except NotTrained as error:
            raise InputError(f"{error} {retype('train', argv)}") from error


def announce(line: "CommandLine") -> None:
    """Say what the run is about: its first line."""
    kinds = collections.Counter(device.device_kind for device in jax.devices())
    model, devices = line.experiment.model, " and ".join(f"{count} x {kind}" for kind, count in kinds.items())
    log.info(
        "config %s, work directory %s, network %s (%s), data %s, on %s",
        *(line.origin, line.workdir, model.name, model.pooling, line.experiment.data.name, devices),
    )


USAGE = """Flags:
  --config CONFIG        the experiment: a file, or the name of one that is shipped (default: that of the run in
                         --workdir; without that, {default}):
                         {configs}
  --config.KEY=VALUE     change one of its settings, as in --config.stream.epochs=3
  --workdir DIR          where checkpoints, logs and reports go (default: runs/<the experiment's name>)
  --nocompile_cache      do not keep compiled programs (they are kept in .jax_cache beside the work directory)
  --distributed ADDRESS  this is one of many processes: auto, or HOST:PORT,PROCESS,PROCESSES (docs/scaling.md)"""


def show_log() -> None:
    """Show what the package logs, and of other packages no more than warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(Printable())
    absl = logging.getLogger("absl")
    absl.setLevel(logging.ERROR)
    absl.addFilter(says_no_orbax)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # what Orbax leaves behind when a file is damaged
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)  # the same
    log = logging.getLogger("castream_jax")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    sys.unraisablehook = hide_dropped_writes


def says_no_orbax(record: logging.LogRecord) -> bool:
    """Return whether a record is not of Orbax: what matters of its failures we say ourselves, once."""
    return f"{os.sep}orbax{os.sep}" not in record.pathname


class Printable(logging.Formatter):
    """Shows control characters of the names in a message as text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message."""
        return printable(record.getMessage())


def hide_dropped_writes(unraisable: Any) -> None:
    """Print what Python cannot raise, but for the rest of a failed save: its failure is reported once, by us."""
    is_loop = getattr(unraisable.object, "__qualname__", "") == "BaseEventLoop.__del__"
    if not is_loop and "Event loop is closed" not in str(unraisable.exc_value):
        sys.__unraisablehook__(unraisable)


@dataclass(frozen=True)
class CommandLine:
    """What a user asked for."""

    experiment: config.Experiment
    origin: str
    """The config that its settings come from, in words."""
    workdir: Path
    compile_cache: Path | None
    """Where compiled programs are kept."""
    distributed: str
    """How to find the other processes of the run; empty: there are none."""
    options: dict[str, str | bool]
    """The command's own flags."""
    arguments: list[str]
    """What is no flag."""


def parse_flags(
    argv: list[str],
    options: Sequence[str] = (),
    switches: Sequence[str] = (),
    takes_arguments: bool = False,
    default: str = DEFAULT,
) -> CommandLine:
    """Return what a command line says, or raise `InputError`."""
    settings, origin, argv = find_settings(argv, default)
    _check_overrides(argv, settings)
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # flags may come after arguments
    for name in ("workdir", "distributed", *options):
        flags.DEFINE_string(name, "", "", flag_values=values)
    for name in ("compile_cache", *switches):
        flags.DEFINE_bool(name, name == "compile_cache", "", flag_values=values)
    try:
        config_flags.DEFINE_config_dict("config", ConfigDict(settings), flag_values=values, sys_argv=argv)
        rest = values(argv)
    except flags.UnrecognizedFlagError as error:
        raise InputError(word_unknown_flag(error.flagname, settings, [*values])) from error
    except Exception as error:  # ml_collections raises many kinds; all of them are about the command line
        raise InputError((str(error).strip() or type(error).__name__).splitlines()[0]) from error
    if rest[1:] and not takes_arguments:
        raise InputError(f"unexpected argument {rest[1]!r}: write flags as --name=value.")
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(argv[:1])  # grain's workers want the global flags parsed
    experiment = config.from_dict(values.config.to_dict())
    named = Path(experiment.name)
    if not values.workdir and (named.is_absolute() or ".." in named.parts):
        raise InputError(f"config.name is {experiment.name!r}, which leads out of runs: name a --workdir.")
    workdir = Path(values.workdir or Path("runs") / named)
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"--workdir {workdir} is a file: expected a directory.")
    cache = workdir.absolute().parent / ".jax_cache" if values.compile_cache else None
    own: dict[str, str | bool] = {name: str(values[name].value) for name in options}
    own |= {name: bool(values[name].value) for name in switches}
    return CommandLine(experiment, origin, workdir, cache, values.distributed, own, rest[1:])


def word_unknown_flag(name: str, settings: Mapping[str, Any], known: Sequence[str]) -> str:
    """Word the message for a flag that does not exist: settings of that name are meant, or a flag that is near."""
    named = [path for path in list_settings(settings) if path.rpartition(".")[2] == name]
    near = difflib.get_close_matches(name, known, n=1)
    meant = [f"--config.{path}" for path in named] or [f"--{flag}" for flag in near]
    hint = f" Did you mean {' or '.join(meant)}?" if meant else ""
    return f"there is no flag --{name}.{hint} --help lists them; settings are set as --config.KEY=VALUE."


def list_settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all settings."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from list_settings(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _check_overrides(argv: list[str], settings: Mapping[str, Any]) -> None:
    """Raise `InputError` for an override of a setting that does not exist, and for flags that absl reads from files."""
    for argument in argv[1:]:
        if re.match("--?flagfile", argument):
            raise InputError(f"{argument}: flags are not read from files; write them on the command line, or a config.")
        match = re.match(r"--?(?:no)?config\.([^=]+)", argument)
        group: Any = settings
        for key in match[1].split(".") if match else ():
            if not isinstance(group, Mapping):
                raise InputError(f"{argument}: there are no settings below this one.")
            if key not in group:
                raise InputError(f"{argument}: " + unknown("setting", key, group))
            group = group[key]
        if match and isinstance(group, Mapping):
            raise InputError(f"{argument}: this is a group of settings. Set one of {', '.join(group)}.")
