"""Who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import castream_jax
from castream_jax.cli.main import COMMANDS

PACKAGE = Path(castream_jax.__file__).parent
SCRIPTS = {"train", "evaluate", "explain", "tools", "benchmarks", "configs", "tests", "notebooks"}

# A part of the package (a file or a folder at its top) and what it may import of the rest of the package; a dotted
# name is one module of a part. Everything may import itself and `errors`, whose own row is empty.
MAY_IMPORT = {
    "errors": set(),
    "version": set(),
    "masking": set(),
    "replacement": set(),
    "locking": set(),
    "regular_files": set(),
    "trees": set(),
    "config": set(),
    "importing": set(),
    "cpu": set(),
    "sharding": set(),
    "compute": set(),
    "models": {"cpu"},
    "placement": {"sharding"},
    "attribution": {"compute", "masking", "models.inputs"},
    "metrics": {"compute", "masking", "models.inputs"},
    "binding": {"attribution", "metrics", "compute", "models", "masking", "importing"},
    "names": {"attribution"},
    "drawing": {"names", "masking", "replacement"},
    "checkpoints": {"failures", "limits", "sharding", "trees"},
    "weights": {"models", "checkpoints", "regular_files"},
    "data": {"config", "locking", "replacement", "cpu", "regular_files", "models.inputs"},
    "training": {"checkpoints", "trees", "models", "weights", "data", "metrics", "config", "sharding", "version"}
    | {"replacement", "locking", "importing", "names"},
    "evaluation": {"models", "data", "metrics", "attribution", "binding", "config", "sharding", "version"}
    | {"replacement", "locking", "trees", "names", "drawing"}
    | {"training.accuracy", "training.network", "training.preprocessing"},
    "explanation": {"models", "data", "config", "version", "attribution", "binding", "masking", "regular_files"}
    | {"replacement", "evaluation.chunk", "training.network", "training.preprocessing", "names", "drawing", "arrays"},
    "arrays": {"models"},
    "api": {"arrays", "models", "attribution", "metrics", "binding", "placement", "evaluation.chunk"},
    "cli": {"config", "cpu", "sharding", "compilation", "failures", "limits", "version"}
    | {"training", "evaluation", "explanation", "data"},
    "limits": set(),
    "failures": set(),
    "compilation": {"replacement"},
    "__main__": {"cli"},
    "__init__": {"api", "attribution", "explanation", "metrics", "models", "weights", "version"},
}
ONLY_IN = {"ml_collections": {"cli"}, "torch": set(), "torchvision": set(), "tensorflow": set()}
"""Which parts may import a package from outside."""


def part_of(file: Path) -> str:
    if file.stem == "__main__":
        return "__main__"  # of whichever folder: it is a command's
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


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
    allowed = MAY_IMPORT[part] | {part} | ({"errors"} if part != "version" else set())
    return any(name == other or name.startswith(f"{other}.") for other in allowed)


FILES = sorted(PACKAGE.rglob("*.py"))


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
        used[part_of(file)] |= {name.partition(".")[2] for name in imports(file) if name.startswith("castream_jax.")}
    unused = {
        f"{part} -> {other}"
        for part, allowed in MAY_IMPORT.items()
        for other in allowed
        if not any(name == other or name.startswith(f"{other}.") for name in used[part])
    }
    assert unused == set()


def test_no_rules_in_a_circle():
    """Each part can be understood after the parts that it imports."""
    settled: set[str] = set()
    parts = {part: {name.split(".")[0] for name in allowed} for part, allowed in MAY_IMPORT.items()}
    while ready := {part for part, needs in parts.items() if part not in settled and needs <= settled}:
        settled |= ready
    assert settled == MAY_IMPORT.keys()


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
    assert not is_allowed("models.resnet", "data")
    assert is_allowed("training.network.load_trained", "evaluation")
    assert not is_allowed("training.loop", "evaluation")
    assert not any(is_allowed("cli.ending", part) for part in MAY_IMPORT if part not in ("cli", "__main__"))
