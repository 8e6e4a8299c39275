"""Every command and every Python block of the README and the pages runs, or says why it cannot."""

import ast
import contextlib
import dataclasses
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from PIL import Image
from safetensors.numpy import save_file

import castream_jax as ca
from castream_jax.binding.choices import list_settings
from castream_jax.cli import command as command_line
from castream_jax.cli.main import COMMANDS as CASTREAM
from castream_jax.evaluation import estimate
from castream_jax.models import resnet
from castream_jax.weights import files, hub
from castream_jax.weights.known import KNOWN
from tests.commands import run
from tests.compiling import remember_programs
from tests.documented import BLOCKS, COMMANDS, PARSED, ROOT, RUN, SMALL, TESTED_ELSEWHERE, Command, find_rule
from tests.networks import fill, random_images, shallow_resnets

pytestmark = pytest.mark.slow

TINY = resnet.ResNetSpec((1, 1, 1, 1), bottleneck=True, widths=(4, 4, 8, 8))
"""What pages call a ResNet-50, here."""


@pytest.fixture(scope="module")
def scratch(demo_directory, tmp_path_factory):
    """Return a directory with what the pages' commands name, and work in it; a ResNet-50 is a tiny one meanwhile."""
    directory = tmp_path_factory.mktemp("scratch")
    for name in ("configs", "tools"):
        (directory / name).symlink_to(ROOT / name)
    rng = np.random.default_rng(0)
    for split, images in (("train", 8), ("validation", 4), ("test", 4)):
        for label in ("cat", "dog"):
            folder = directory / "ROOT" / split / label
            folder.mkdir(parents=True)
            for i in range(images):
                Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(folder / f"{i}.png")
    (directory / "LISTED").mkdir()
    rows = ["file_name,label,boxes"]
    for i in range(16):
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(directory / "LISTED" / f"{i}.png")
        rows.append(f"{i}.png,{i % 2},0.1 0.1 0.6 0.6")
    (directory / "LISTED" / "metadata.csv").write_text("\n".join(rows))
    (directory / "OTHERS").symlink_to(directory / "LISTED")
    for name in ("PICTURES", "photos", "more"):
        (directory / name).symlink_to(directory / "ROOT" / "test")
    for name in ("cat.jpg", "dog.jpg", "ROOT/test/cat/more.jpg"):
        Image.new("RGB", (40, 30), "teal").save(directory / name)
    (directory / "DIR").mkdir()
    for name in ("RUN_A", "RUN_B"):
        (directory / name).symlink_to(directory / "runs" / "demo")
    data = directory / "data"
    data.mkdir()
    (data / "castream_demo").symlink_to(demo_directory / "castream_demo")
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(directory), shallow_resnets():
        patch.setenv("TFDS_DATA_DIR", str(data))
        patch.setitem(resnet.SPECS, "resnet50", TINY)
        remember_programs(patch)
        patch.setattr(estimate, "CALIBRATION", 0.1)  # ten seconds of it tell nothing here
        yield directory


@pytest.fixture
def demo(scratch, capsys):
    """Return the work directory of the demo, trained and evaluated by its own commands."""
    if not (scratch / "runs" / "demo" / "evaluation").exists():
        for script in ("train.py", "evaluate.py"):
            code, printed = run(["python", script, "--config", "configs/demo.py", *SMALL.split()], capsys)
            assert code == 0, printed
    return scratch / "runs" / "demo"


RUNNABLE = [(command, rule) for command in COMMANDS if (rule := find_rule(command, RUN))]
OTHERS = [command for command in COMMANDS if not find_rule(command, RUN)]
PARSABLE = [(command, rule) for command in OTHERS if (rule := find_rule(command, PARSED))]


def name(value) -> str:
    return f"{value.page}: {value}" if isinstance(value, Command) else ""


def test_every_command_has_a_rule():
    unknown = [name(command) for command in COMMANDS if not find_rule(command, RUN + PARSED)]
    assert not unknown, f"add a rule for each to tests/documented.py: {unknown}"
    assert len(COMMANDS) > 30


@pytest.mark.parametrize(("command", "rule"), RUNNABLE, ids=name)
def test_a_command(command, rule, demo, capsys):
    _, added, error = rule
    words = [word.rstrip("…") for word in command.words]
    assert words[1].startswith("-") or words[1] in CASTREAM or (ROOT / words[1]).exists(), f"there is no {words[1]}"
    if "demo.safetensors" in words:
        Path("demo.safetensors").unlink(missing_ok=True)
    code, printed = run(words + added.split(), capsys)
    assert "Traceback" not in printed
    if error:
        assert code == 2, printed
        assert re.search(error, printed), printed
    else:
        assert code == 0, printed


@pytest.mark.parametrize(("command", "rule"), PARSABLE, ids=name)
def test_a_command_that_cannot_run_here(command, rule, tmp_path):
    """Its parts are checked; why it does not run is printed."""
    print(f"{command}: not run, {rule[1]}")
    words = list(command.words)
    if words[0] == "make":
        (tmp_path / "docs").touch()
        (tmp_path / "installed").touch()
        (tmp_path / "real").touch()
        (tmp_path / "page").touch()
        ended = subprocess.run(
            ["make", "-n", *words[1:], f"VENV={tmp_path}"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert str(tmp_path) in ended.stdout
    elif words[0] == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named = re.search(r"\[(.*)\]", words[-1])
        assert set(named[1].split(",") if named else []) <= extras.keys()
    elif words[0] == "pytest" or (words[1:] and words[1].startswith("notebooks/")):
        assert (ROOT / words[1]).is_file()
    elif words[:2] == ["python", "-c"]:
        ast.parse(words[2])
    if "train.py" in str(command):
        line = str(command).partition("python train.py ")[2].rstrip("'")
        parsed = command_line.parse_flags(["train.py", *line.replace("$RUN", "run").replace("'", "").split()])
        assert parsed.distributed
        assert parsed.experiment.name == "convnext_ca"


def test_shell_blocks_are_shell():
    for block in BLOCKS:
        if block.language in ("sh", "bash"):
            checked = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
            assert not checked.stderr, f"{block.page}: {checked.stderr}"


PYTHON = list(dict.fromkeys(block.page for block in BLOCKS if block.language == "python"))


@pytest.mark.parametrize("page", PYTHON)
def test_python_blocks(page, demo, monkeypatch):
    """A page's blocks run one after the other; they find `ca`, `model`, `images`, `labels`, `maps` and `state_dict`."""
    if page in TESTED_ELSEWHERE:
        assert (ROOT / TESTED_ELSEWHERE[page]).is_file()
        return
    model = fill(nnx.eval_shape(lambda: ca.create_model("resnet50")))
    state_dict = ca.export_weights(model)
    save_file(state_dict, "weights.safetensors")
    digits = fill(nnx.eval_shape(lambda: ca.create_model("resnet18_small", "ca", num_classes=10)))
    save_file(ca.export_weights(digits), "digits.safetensors")
    on_hub = {"user/digits": "digits.safetensors"}
    monkeypatch.setattr(
        hub.huggingface_hub, "hf_hub_download", lambda owner, *_: on_hub.get(owner, "weights.safetensors")
    )
    known = KNOWN["efficientnet_lite0.pypi"]
    save_file(
        ca.export_weights(fill(nnx.eval_shape(lambda: ca.create_model(known.architecture, "gap")))), "lite.safetensors"
    )
    monkeypatch.setattr(
        files, "locate", lambda source: Path("lite.safetensors") if source == known.source else hub.locate(source)
    )
    monkeypatch.setitem(KNOWN, known.name, dataclasses.replace(known, sha256=""))
    images, labels = random_images(2, 32, 32), np.array([1, 2])
    maps = np.random.default_rng(0).random((2, 1, 1), np.float32)
    prepared = {"ca": ca, "model": model, "images": images, "labels": labels, "maps": maps, "state_dict": state_dict}
    prepared["names"] = tuple(f"class {i}" for i in range(1000))
    try:
        for block in BLOCKS:
            if (block.page, block.language) == (page, "python"):
                exec(compile(block.text, page, "exec"), prepared)
    finally:
        for written in ("weights.safetensors", "digits.safetensors", "lite.safetensors"):
            Path(written).unlink()
    if "get_config" in prepared:  # a config that a page shows must be one
        command_line.config.from_dict(prepared["get_config"]().to_dict())


def test_links_of_files_outside_the_site():
    """Those of the site are checked when it is built."""
    for file in ("README.md", "CHANGELOG.md", "benchmarks/RESULTS.md"):
        for link in re.findall(r"\]\(([^)#]+)", (ROOT / file).read_text()):
            assert link.startswith("https://") or (ROOT / file).parent.joinpath(link).exists(), f"{file}: {link}"


def test_every_public_name_has_its_place():
    shown = set(re.findall(r"^::: (\S+)", "".join(p.read_text() for p in (ROOT / "docs/api").glob("*.md")), re.M))
    assert {f"castream_jax.{public}" for public in ca.__all__} <= shown
    for part in ("attribution", "metrics"):
        modules = {path.stem for path in (ROOT / "castream_jax" / part).glob("*.py")} - {"__init__"}
        assert {f"castream_jax.{part}.{module}" for module in modules} <= shown


def test_every_map_has_a_row_of_what_its_record_says():
    page = (ROOT / "docs/maps.md").read_text()
    for method in ca.METHODS.values():
        formula = method.formula.replace("|", r"\|")
        row = f"| `{method.key}` | {method.name} ({method.source}) | {method.meaning} | `{formula}` | "
        assert row in page, method.key
        assert ("through the trunk |" in page.split(row)[1].split("\n")[0]) >= bool(method.through_trunk), method.key
    for setting in (name for method in ca.METHODS.values() for name in list_settings(method)):
        assert f"| `{setting}` | " in page


def test_maps_and_metrics_are_as_many_as_said():
    for page in ("README.md", "docs/index.md"):
        text = (ROOT / page).read_text()
        assert f"[{len(ca.METHODS)} saliency maps]" in text
        assert f"[{len(ca.METRICS)} metrics]" in text


def test_the_version_is_one():
    assert f"## [{ca.VERSION}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {ca.VERSION}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed: extra docs")
def test_the_site_asks_nothing_of_the_network(tmp_path):
    """It is built with warnings as errors, and no page loads anything from elsewhere."""
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "XLA_FLAGS": ""}
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        text = page.read_text()
        assert not re.search(r'<(script|img|iframe|source)[^>]* src="(https?:)?//', text), page
        assert not re.search(r'<link[^>]* href="(https?:)?//', text), page
        assert "arithmatex" not in text, page
    assert "<math" in (tmp_path / "site" / "method.html").read_text()
    assert "<svg viewBox" in (tmp_path / "site" / "develop.html").read_text()
    shutil.rmtree(tmp_path / "site")
