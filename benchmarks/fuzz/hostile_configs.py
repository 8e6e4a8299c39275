"""Config files and command lines that no command should take, and some that it should."""

from collections.abc import Callable

HEAD = "from math import inf, nan\nfrom castream_jax.config import Experiment\n"


def returning(expression: str, before: str = "") -> str:
    """Return a config file that returns a Python expression."""
    return f"{HEAD}{before}\n\ndef get_config():\n    return {expression}\n"


def setting(expression: str, key: str = "seed") -> str:
    """Return a config file with one setting beside the name."""
    return returning(f"{{'name': 'x', {key!r}: {expression}}}")


FILES: dict[str, str | bytes | Callable[[], bytes]] = {
    "nothing": "",
    "no get_config": "settings = {}",
    "a get_config that is no function": "get_config = 7",
    "a get_config that wants something": "def get_config(more):\n    return {}",
    "a mistake in the syntax": "def get_config(:",
    "an exit": returning("{}", "import sys; sys.exit(0)"),
    "an exit with a text": returning("{}", "import sys; sys.exit('bye')"),
    "an exception without text": returning("1 / 0", "raise KeyError()"),
    "an exception of many lines": returning("{}", "raise ValueError('a\\nb\\n\\x1b[31mc')"),
    "an exception that cannot be shown": returning(
        "{}", "class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E"
    ),
    "an exception that is no Exception": returning("{}", "class E(BaseException): pass\nraise E('x')"),
    "a function without end": returning("get_config()"),
    "a list without end": returning("[0] * 10**12"),
    "an import that is not there": "import nowhere_at_all",
    "NUL": b"def get_config():\n    return {'name': 'a\0b'}\n",
    "Latin-1": "# é\n".encode("latin-1") + setting("1").encode(),
    "UTF-16": setting("1").encode("utf-16"),
    "an unknown encoding": b"# coding: x-none\n" + setting("1").encode(),
    "a binary": bytes(range(256)) * 40,
    "nested parentheses": lambda: f"x = {'(' * 100_000}".encode(),
    "nested signs": lambda: f"x = {'-' * 1_000_000}1".encode(),
    "nested attributes": lambda: f"x = a{'.a' * 300_000}".encode(),
    "a line of 30 MB": lambda: b"# " + b"x" * 30_000_000,
    "returns None": returning("None"),
    "returns a list": returning("[1, 2]"),
    "returns a number": returning("7"),
    "returns a text": returning("'name'"),
    "returns an Experiment": returning("Experiment(name='x')"),
    "returns a generator": returning("(i for i in range(3))"),
    "returns keys that are numbers": returning("{1: 2}"),
    "returns keys with dots": returning("{'name': 'x', 'data.name': 'y'}"),
    "returns an empty key": returning("{'name': 'x', '': 1}"),
    "returns a key with an escape": returning("{'name': 'x', 'a\\x1b[31mb': 1}"),
    "returns itself within": returning("d", "d = {'name': 'x'}; d['data'] = d"),
    "returns what is nested": returning("d", "d = {}\nfor _ in range(50_000): d = {'a': d}"),
    "a setting that is None": setting("None"),
    "a number of 5,000 digits": setting("10**5000"),
    "a negative number of 5,000 digits": setting("-(10**5000)"),
    "epochs of 5,000 digits": setting("{'epochs': 10**5000}", "stream"),
    "a rate of 5,000 digits": setting("{'epochs': 1, 'learning_rate': 10**5000}", "stream"),
    "a rate that is NaN": setting("{'epochs': 1, 'learning_rate': nan}", "stream"),
    "a rate that is infinite": setting("{'epochs': 1, 'learning_rate': inf}", "stream"),
    "a truth value for a number": setting("True"),
    "a number for a truth value": setting("1", "replace_classifier"),
    "a text for numbers": setting("'12'", "classes"),
    "a fraction for a number": setting("1.0"),
    "numpy's number": setting("__import__('numpy').int64(3)"),
    "numpy's fraction": setting("{'epochs': 1, 'learning_rate': __import__('numpy').float32(0.1)}", "stream"),
    "numpy's array": setting("__import__('numpy').zeros(1000)"),
    "a set": setting("{1, 2}", "classes"),
    "a dictionary for numbers": setting("{1: 2}", "classes"),
    "a generator for numbers": setting("(i for i in range(3))", "classes"),
    "numbers without end": setting("__import__('itertools').count()", "classes"),
    "bytes": setting("b'x'", "weights"),
    "a path": setting("__import__('pathlib').Path('x')", "weights"),
    "a function": setting("print"),
    "a class": setting("int"),
    "an object": setting("object()"),
    "a value that cannot be shown": returning(
        "{'name': 'x', 'seed': E()}", "class E:\n    def __repr__(self):\n        raise ValueError"
    ),
    "a value that equals all": returning(
        "{'name': 'x', 'model': {'pooling': E()}}", "class E:\n    def __eq__(self, other):\n        return True"
    ),
    "a value that cannot be compared": setting("{'pooling': __import__('numpy').zeros(3)}", "model"),
    "a name with an escape": returning("{'name': 'a\\x1b[31mb'}"),
    "a name with NUL": returning("{'name': 'a\\0b'}"),
    "a name of half a letter": returning("{'name': 'a\\ud800b'}"),
    "a name with a line": returning("{'name': 'a\\nb'}"),
    "a name of 5,000 letters": returning("{'name': 'x' * 5000}"),
    "a name of 10 MB and a mistake": returning("{'name': 'x' * 10_000_000, 'seed': 'y' * 10_000_000}"),
    "an unknown setting of 10 MB": returning("{'name': 'x', 'y' * 10_000_000: 1}"),
    "a name that climbs": returning("{'name': '../../x'}"),
    "a placeholder": returning("c", "from ml_collections import ConfigDict, config_dict\n"
                                    "c = ConfigDict({'name': 'x', 'seed': config_dict.required_placeholder(int)})"),
    "a reference": returning("c", "from ml_collections import ConfigDict, FieldReference\n"
                                  "c = ConfigDict({'name': 'x', 'seed': FieldReference(3)})"),
}  # fmt: skip
"""Config files by what is odd about them."""

LINES: dict[str, list[str]] = {
    "config without file": ["--config"],
    "config empty": ["--config="],
    "config twice": ["--config=a.py", "--config=b.py"],
    "config with NUL": ["--config=a\0b.py"],
    "config of 5,000 letters": [f"--config={'x' * 5_000}.py"],
    "config with an escape": ["--config=\x1b[31mred.py"],
    "config that is no Python": ["--config=/etc/passwd"],
    "config without suffix": ["--config=/bin/true"],
    "config of the home": ["--config=~/x.py"],
    "config that is half a letter": ["--config=\udcff.py"],
    "workdir with NUL": ["--workdir=a\0b"],
    "workdir of 5,000 letters": [f"--workdir={'x' * 5_000}"],
    "workdir that is a file": ["--workdir=/etc/passwd"],
    "workdir below a file": ["--workdir=/etc/passwd/x"],
    "workdir twice": ["--workdir=a", "--workdir=b"],
    "workdir without value": ["--workdir"],
    "name of 5,000 letters": [f"--config.name={'x' * 5_000}"],
    "name with an escape": ["--config.name=\x1b[31mred", "--config.seed=-1"],
    "name without value": ["--config.name"],
    "seed with an escape": ["--config.seed=\x1b[31m7"],
    "seed of 5,000 digits": [f"--config.seed={'9' * 5_000}"],
    "seed of a million digits": [f"--config.seed={'9' * 1_000_000}"],
    "seed to calculate": ["--config.seed=9**9**9"],
    "seed that calls": ["--config.seed=__import__('os').system('touch was-run')"],
    "seed in words": ["--config.seed=seven"],
    "seed in Arabic digits": ["--config.seed=٣"],
    "seed of a fraction": ["--config.seed=1.5"],
    "seed with an exponent": ["--config.seed=1e3"],
    "seed empty": ["--config.seed="],
    "classes that call": ["--config.classes=__import__('os').system('touch was-run')"],
    "classes nested": [f"--config.classes={'(' * 50_000}"],
    "classes of signs": [f"--config.classes={'-' * 200_000}1"],
    "classes that are one": ["--config.classes=1"],
    "classes that are fractions": ["--config.classes=(1.5, 2)"],
    "classes that are texts": ["--config.classes=('1', '2')"],
    "a group": ["--config.model=x"],
    "a group as a dictionary": ["--config.model={'name': 'x'}"],
    "a setting below a setting": ["--config.seed.x=1"],
    "a setting that is not there": ["--config.sed=1"],
    "a setting with an escape": ["--config.\x1b[31mred=1"],
    "a setting without name": ["--config.=1"],
    "dots": ["--config...=1"],
    "a truth value in words": ["--config.data.flip=maybe"],
    "a flag that is not there": ["--nothing=1"],
    "a flag file": ["--flagfile=/etc/passwd"],
    "a flag file without end": ["--flagfile=/dev/zero"],
    "a flag file that is not there": ["--flagfile=nowhere"],
    "unknown flags": ["--undefok=nothing", "--nothing=1"],
    "a third dash": ["---config.seed=1"],
    "an argument": ["x"],
    "an argument with an escape": ["\x1b[31mred"],
    "dashes alone": ["--"],
    "an address": ["--distributed=nowhere"],
    "100,000 arguments": [f"--config.seed={i}" for i in range(20_000)] + ["x"],
}
