"""Who may import whom."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import castream_jax
from castream_jax.cli.main import COMMANDS

PACKAGE = Path(castream_jax.__file__).parent
SCRIPTS = {"train", "evaluate", "explain", "tools", "benchmarks", "configs", "tests", "notebooks"}

# A part of the package (a file at its top, or a folder without the folders inside it, which are parts of their own) and
# which parts it may import. Everything may import itself and `errors`, whose own row is empty.
MAY_IMPORT = {
    "errors": set(),
    "version": set(),
    "config": set(),
    "cpu": set(),
    "importing": set(),
    "notices": set(),
    "hook": {"config", "importing"},
    "failures": set(),
    "compute": set(),
    "storage": {"compute", "failures"},
    "models.kernels": set(),
    "models.layers": {"cpu", "models.kernels"},
    "poolings": {"importing", "models.kernels", "models.layers"},
    "models": {"models.kernels", "models.layers", "poolings"},
    "weights": {"models", "storage"},
    "attribution": {"compute", "models"},
    "metrics": {"compute", "models"},
    "binding": {"attribution", "metrics", "compute", "models", "importing"},
    "wording": {"attribution", "poolings"},
    "data.pictures": {"config", "models"},
    "data.builders": {"data.pictures"},
    "data.classes": {"notices", "storage"},
    "data.objects": {"notices", "storage", "data.pictures"},
    "data.sources": {"data.pictures", "data.builders", "data.classes", "data.objects", "notices", "storage"},
    "data": {"data.pictures", "data.classes", "data.objects", "data.sources", "config", "notices", "storage", "cpu"},
    "data.prepare": {"data.sources", "storage"},
    "experiment": {
        "config",
        "data",
        "data.classes",
        "data.pictures",
        "models",
        "weights",
        "storage",
        "compute",
        "importing",
    }
    | {"attribution", "metrics", "binding", "poolings", "wording", "notices"},
    "training": {
        "poolings",
        "attribution",
        "binding",
        "drawing",
        "hook",
        "experiment",
        "config",
        "data",
        "data.classes",
        "data.pictures",
        "models",
        "compute",
        "storage",
        "importing",
        "version",
    },
    "evaluation": {"experiment", "config", "data", "data.sources", "data.pictures", "models", "metrics"}
    | {"attribution", "binding", "compute", "storage", "wording", "version"},
    "drawing": {"compute", "storage", "wording"},
    "report": {"evaluation", "drawing", "config", "data.pictures", "attribution", "metrics", "storage", "wording"}
    | {"version"},
    "explanation": {
        "experiment",
        "config",
        "data",
        "data.classes",
        "data.pictures",
        "models",
        "attribution",
        "binding",
        "compute",
    }
    | {"drawing", "storage", "wording", "version"},
    "app": {"explanation", "experiment", "config", "data.pictures", "models", "attribution", "binding", "drawing"}
    | {"wording", "failures"},
    "publication": {"config", "data", "experiment", "importing", "models", "report", "version", "weights"},
    "api": {"binding", "models", "attribution", "metrics", "compute", "notices"},
    "study": {"data", "drawing", "experiment", "config", "metrics", "poolings", "report", "storage"}
    | {"training", "wording"},
    "cli": {
        "study",
        "app",
        "binding",
        "experiment",
        "training",
        "evaluation",
        "report",
        "explanation",
        "publication",
        "data.builders",
        "data.sources",
        "data.prepare",
    }
    | {"config", "compute", "hook", "storage", "cpu", "failures", "version"},
    "__main__": {"cli"},
    "__init__": {"api", "attribution", "explanation", "hook", "metrics", "models", "poolings", "storage", "weights"}
    | {"version"},
}
ONLY_IN = {"ml_collections": {"cli"}, "torch": set(), "torchvision": set(), "tensorflow": set()}
"""Which parts may import a package from outside."""


FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = {".".join(file.parent.relative_to(PACKAGE).parts) for file in FILES} - {""}


def part_of(file: Path) -> str:
    """Return the part that a file belongs to."""
    if file.stem == "__main__":
        return "__main__"  # of whichever folder: it is a command's
    *folders, stem = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(folders) or stem


def imported_part(name: str) -> str:
    """Return the part that `castream_jax.<name>` lies in, which is a module or something of a module."""
    *folders, last = name.split(".")
    inside = [".".join(folders[:count]) for count in range(len(folders), 0, -1)]
    return next((folder for folder in (name, *inside) if folder in FOLDERS), folders[0] if folders else last)


def imports(file: Path) -> Iterator[str]:
    """Yield the dotted name of everything a file imports, at its top or inside a function.

    What a module does where it is run as a program, at its end, is left out: it stands above all others then.
    """
    tree = ast.parse(file.read_text())
    tree.body = [node for node in tree.body if not is_program(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: import by full name"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_program(node: ast.stmt) -> bool:
    """Return whether a statement is `if __name__ == "__main__":` of a module, and calls a command."""
    return isinstance(node, ast.If) and ast.unparse(node) in (
        f"if __name__ == '__main__':\n    from castream_jax.cli.{name} import main\n    main()" for name in COMMANDS
    )


def is_allowed(name: str, part: str) -> bool:
    """Return whether a part of the package may import `castream_jax.<name>`."""
    return imported_part(name) in MAY_IMPORT[part] | {part} | ({"errors"} if part != "version" else set())


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports(file):
    part = part_of(file)
    for name in imports(file):
        root, _, rest = name.partition(".")
        if root == "castream_jax":
            assert is_allowed(rest, part), f"{part} may not import {name}"
        assert root not in SCRIPTS, f"nothing imports scripts: {name}"
        assert part in ONLY_IN.get(root, {part}), f"{part} may not import {name}"


def test_every_part_has_a_rule():
    parts = {part_of(file) for file in FILES}
    assert parts - MAY_IMPORT.keys() == set()
    assert MAY_IMPORT.keys() - parts == set()


def test_every_allowance_is_used():
    """The picture of the documentation is drawn from the rules: no arrow without an import."""
    used: dict[str, set[str]] = {part: set() for part in MAY_IMPORT}
    for file in FILES:
        own = (name.removeprefix("castream_jax.") for name in imports(file) if name.startswith("castream_jax."))
        used[part_of(file)] |= set(map(imported_part, own))
    unused = {f"{part} -> {other}" for part, allowed in MAY_IMPORT.items() for other in allowed - used[part]}
    assert unused == set()


def test_no_rules_in_a_circle():
    """Each part can be understood after the parts that it imports."""
    settled: set[str] = set()
    while ready := {part for part, needs in MAY_IMPORT.items() if part not in settled and needs <= settled}:
        settled |= ready
    assert settled == MAY_IMPORT.keys()


def test_one_name_for_one_module():
    """But for commands and what they call."""
    stems = Counter(file.stem for file in FILES if not file.stem.startswith("__") and part_of(file) != "cli")
    assert {stem for stem, count in stems.items() if count > 1} == set()


def test_no_program_calls_lapack():
    """Its kernels for batches wait for threads of the pool that they run in: two devices of two cores hang."""
    calls = re.compile(r"jnp\.linalg|lax\.linalg|(import|from) jax\.(scipy\.linalg|numpy\.linalg)")
    assert [str(file) for file in FILES if calls.search(file.read_text())] == []


def test_the_walk_sees_imports_inside_functions(tmp_path):
    file = tmp_path / "some.py"
    file.write_text("import a.b\nfrom c import d, e\ndef f():\n    import g\n")
    assert sorted(imports(file)) == ["a.b", "c.d", "c.e", "g"]
    hook = "\nif __name__ == '__main__':\n    from castream_jax.cli.compare import main\n\n    main()\n"
    file.write_text("import a" + hook)
    assert list(imports(file)) == ["a"]
    file.write_text("import a" + hook + "    import b\n")
    assert len(list(imports(file))) == 3
    assert is_allowed("models.resnet", "weights")
    assert not is_allowed("training.loop.train", "evaluation")
    assert is_allowed("data.pictures.decoding.Decoding", "evaluation")
    assert not is_allowed("data.prepare.shards", "evaluation")
    assert not is_allowed("data.source", "data.builders")
    assert imported_part("errors.InputError") == "errors"
    assert imported_part("models.kernels") == "models.kernels"
    assert not any(is_allowed("cli.ending", part) for part in MAY_IMPORT if part not in ("cli", "__main__"))
