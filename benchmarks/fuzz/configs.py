"""Configs: files and command lines, given to what every command starts with; `benchmarks.fuzz_training` trains, too."""

import ast
import contextlib
import functools
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.fuzz import hostile_configs as hostile
from benchmarks.fuzz.case import Case, Expected, Maker, Reader
from benchmarks.fuzz.mutation import ON_TEXT, Rng, mutate
from benchmarks.fuzz.special_files import NAMES, SPECIAL
from castream_jax.cli import command, origin
from castream_jax.config import Experiment
from castream_jax.errors import InputError
from tests import fuzzing
from tests.test_fuzzed_configs import ARGUMENTS, KEYS
from tests.training.small import small_experiment

CONFIGS_HERE = sorted(origin.CONFIGS.glob("*.py"))
README = Path(__file__).parent.parent.parent / "README.md"


def run(arguments: list[str], folder: Path) -> Experiment | None:
    """Start a command, and return the experiment that it would work on; None if it has no work.

    Raises:
      InputError: the command ended with exit code 2 and one message.
    """
    taken: list[Experiment] = []
    said = io.StringIO()
    line = ["train.py", f"--workdir={folder}/out", "--nocompile_cache", *arguments]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            command.run(lambda experiment, workdir: taken.append(experiment), "", line)
        except SystemExit as ended:
            before, error, message = said.getvalue().rpartition("error: ")
            if ended.code != 2 or not error or "Traceback" in before or "error: " in before:
                raise AssertionError(f"exit code {ended.code}: {said.getvalue()[:500]!r}") from ended
            raise InputError(message.removesuffix("\n")) from ended
    return taken[0] if taken else None


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def differ(found: Experiment | None, expected: Mapping[str, Any]) -> str:
    """Return where an experiment is not what dotted settings say; those that are not said keep their defaults."""
    if found is None:
        return "nothing was run"
    defaults = flat(Experiment(name="x").to_dict())
    for name, value in flat(found.to_dict()).items():
        wanted = expected.get(name, defaults[name])
        if repr(like(wanted, value)) != repr(value):
            return f"{name} is {value!r}: {wanted!r} was said"
    return ""


def like(said: Any, taken: Any) -> Any:
    """Return what was said as what was taken may be: whole numbers for fractions, a list for a tuple."""
    if isinstance(taken, tuple) and isinstance(said, list | tuple) and len(said) == len(taken):
        return tuple(map(like, said, taken))
    return float(said) if isinstance(taken, float) and type(said) is int else said


def of_file(content: str | bytes | Callable[[], bytes], expected: Expected = "either", suffix: str = ".py") -> Maker:
    """Return the maker of a case with a config file."""

    def make(folder: Path, _: Rng) -> Case:
        made = content() if callable(content) else content
        path = folder / f"config{suffix}"
        path.write_bytes(made.encode() if isinstance(made, str) else made)
        return Case(lambda: run([f"--config={path}"], folder), expected=expected)

    return make


def of_line(arguments: list[str], expected: Expected = "either") -> Maker:
    """Return the maker of a case with a command line."""
    return lambda folder, _: Case(lambda: run(arguments, folder), expected=expected)


def special(make_file: Callable[[Path], object]) -> Maker:
    """Return the maker of a case whose config is no regular file."""

    def make(folder: Path, _: Rng) -> Case:
        make_file(folder / "config.py")
        return Case(lambda: run([f"--config={folder}/config.py"], folder), expected="message")

    return make


def known(path: Path) -> Maker:
    """Return the maker of a case with a config that is here, which must be what it says."""

    def make(folder: Path, _: Rng) -> Case:
        said = flat(origin.load_config(path))
        return Case(lambda: run([f"--config={path}"], folder), lambda found: differ(found, said), "right")

    return make


NAMED: dict[str, Maker] = {
    **{f"config {path.name}": known(path) for path in CONFIGS_HERE},
    **{f"file: {name}": of_file(content) for name, content in hostile.FILES.items()},
    **{f"line: {name}": of_line(arguments) for name, arguments in hostile.LINES.items()},
    **{f"file that is a {name}": special(make) for name, make in SPECIAL.items()},
    **{f"file named {name}": of_line([f"--config={text}.py"], "message") for name, text in NAMES.items()},
    **{f"file named {name}, without suffix": of_line([f"--config={text}"], "message") for name, text in NAMES.items()},
    "file: README.md": of_line([f"--config={README}"], "message"),
    "file: a config of another suffix": of_file(hostile.setting("1"), suffix=".txt"),
}


def draw(strategy: st.SearchStrategy, rng: Rng) -> Any:
    """Return what a strategy draws, the same for the same state of the generator."""
    drawn: list[Any] = []

    @seed(int(rng.integers(2**32)))
    @settings(
        max_examples=3, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def note(value: Any) -> None:
        drawn.append(value)

    note()
    return drawn[-1]  # the first are the simplest there are


@functools.cache
def start() -> dict[str, Any]:
    """Return the settings that changes start from."""
    return small_experiment("nowhere").to_dict()


def change_settings(folder: Path, rng: Rng) -> Case:
    """Return a case with a config file of changed settings, which must be taken as they are."""
    said = draw(fuzzing.changed_settings(start()), rng)
    path = folder / "config.py"
    path.write_text(hostile.returning(repr(said)), errors="surrogatepass")
    return Case(lambda: run([f"--config={path}"], folder), lambda found: differ(found, flat(said)), name="settings")


def parse(text: str, like: Any) -> Any:
    """Return what a text means as a setting of a type: as Python reads it. Raise `ValueError` where it means none."""
    if isinstance(like, str):
        return text
    if isinstance(like, bool):
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    if isinstance(like, int):
        return int(text) if text.strip().lstrip("+-").isdecimal() else int(text, 0)
    if isinstance(like, float):
        return float(text)
    found = ast.literal_eval(text)
    return found if isinstance(found, tuple | list) else (found,)


def check_override(key: str, text: str) -> Callable[[Experiment | None], str]:
    """Return the check that one setting is what a text says, and that the others are as before."""

    def check(found: Experiment | None) -> str:
        expected = flat(start())
        try:
            meant = parse(text, expected[key])
        except (ValueError, KeyError, SyntaxError) as error:
            taken = None if found is None else flat(found.to_dict())[key]
            return f"{key}={text!r} is taken as {taken!r} ({type(error).__name__})"
        return differ(found, expected | {key: meant})

    return check


VALUES = (
    "0",
    "1",
    "-1",
    "2",
    "007",
    "1_000",
    "1.5",
    "1e3",
    "1e-400",
    "1e400",
    "nan",
    "-inf",
    "true",
    "False",
    "no",
    "on",
)
VALUES += (
    "()",
    "(1,)",
    "1,2",
    "[1, 2]",
    "(1, 2.0)",
    "'a'",
    "a",
    "",
    " ",
    " 7 ",
    "None",
    "0x10",
    "0b1",
    "\uff17",
    "1,000",
    "½",
)


def override(folder: Path, rng: Rng) -> Case:
    """Return a case with one setting on the command line, which must be what Python would make of it."""
    key = KEYS[rng.integers(len(KEYS))]
    text = VALUES[rng.integers(len(VALUES))]
    path = folder / "config.py"
    path.write_text(hostile.returning(repr(start())))
    arguments = [f"--config={path}", f"--config.{key}={text}"]
    return Case(lambda: run(arguments, folder), check_override(key, text), name=f"{key}={text}")


def junk(folder: Path, rng: Rng) -> Case:
    """Return a case with a command line of anything."""
    arguments = draw(st.lists(ARGUMENTS, min_size=1, max_size=4), rng)
    return Case(lambda: run(arguments, folder), name=f"line {arguments!r}"[:80])


def damage_text(folder: Path, rng: Rng) -> Case:
    """Return a case with a config file that was damaged."""
    path = CONFIGS_HERE[rng.integers(len(CONFIGS_HERE))]
    content, how = mutate(path.read_bytes(), rng, README.read_bytes(), ON_TEXT)
    (folder / "config.py").write_bytes(content)
    return Case(lambda: run([f"--config={folder}/config.py"], folder), name=f"{path.name}: {how}")


def damage(folder: Path, rng: Rng) -> Case:
    """Return a case with some change."""
    kinds = (change_settings, override, override, junk, damage_text)
    return kinds[rng.integers(len(kinds))](folder, rng)


CONFIGS = Reader("configs", NAMED, damage, count=len(NAMED) + 400, runs_code=True)
