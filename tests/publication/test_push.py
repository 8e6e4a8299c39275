"""`castream push`: what it writes can be loaded again, and what goes wrong on the way to the hub is one message."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import jax
import pytest
from flax import nnx
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalTokenNotFoundError

from castream_jax.cli.main import main
from castream_jax.config import ModelConfig, StageConfig, from_dict
from castream_jax.errors import InputError, RunError
from castream_jax.experiment.loading import load_trained
from castream_jax.publication import folder as published
from castream_jax.publication.upload import upload_folder
from castream_jax.report.text import write_report
from castream_jax.training.loop import train
from tests.evaluation.synthetic import create_report, create_rows
from tests.training.small import small_experiment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(demo_directory, tmp_path_factory):
    """Return an experiment and the work directory of its training, with a report."""
    stage = StageConfig(epochs=1, batch_size=32)
    experiment = small_experiment(str(demo_directory), backbone=stage, stream=dataclasses.replace(stage, epochs=1))
    workdir = tmp_path_factory.mktemp("pushed") / "run"
    train(experiment, workdir)
    place = workdir / "evaluation" / "castream"
    (place / "figures").mkdir(parents=True)
    write_report(create_report(create_rows()), place)
    (place / "report.html").write_text("<img>")
    return experiment, workdir


class Hub:
    """Stands for the hub: repositories are folders."""

    def __init__(self, place: Path):
        self.place, self.private = place, {}

    def create_repo(self, address: str, *, private: bool, exist_ok: bool) -> str:
        assert exist_ok
        self.private[address] = private
        return f"https://huggingface.co/{address}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        shutil.copytree(folder_path, self.place / repo_id, dirs_exist_ok=True)

    def download(self, repository: str, name: str) -> str:
        if not (self.place / repository / name).is_file():
            raise EntryNotFoundError(name)
        return str(self.place / repository / name)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub.download)
    return hub


@pytest.fixture
def castream(monkeypatch):
    """Run a command line; logging stays the tests' own."""
    monkeypatch.setattr("castream_jax.cli.command.show_log", lambda: None)
    return lambda *words: main(["castream", "push", *map(str, words), "--nocompile_cache"])


def test_what_was_pushed_is_loaded_again(run, hub, castream, capsys):
    experiment, workdir = run
    castream("--workdir", workdir, "--to=somebody/digits", "--private")
    said = capsys.readouterr().out
    assert "published: https://huggingface.co/somebody/digits" in said
    assert hub.private == {"somebody/digits": True}
    card = (hub.place / "somebody" / "digits" / "README.md").read_text()
    block = card.partition("```python\n")[2].partition("```")[0]
    found: dict = {}
    exec(block, found)  # as the card says
    model = found["model"]
    trained = load_trained(experiment, workdir, 10)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), nnx.state(model), nnx.state(trained))
    assert all(jax.tree.leaves(same))
    assert model.preprocessing == trained.preprocessing
    assert model.class_names == trained.class_names
    assert "| Grad-CAM | GAP |" in card
    assert card.startswith("---\nlibrary_name: castream_jax\n")
    files = {name for name, _ in published.list_folder(hub.place / "somebody" / "digits")}
    report = {f"evaluation/castream/report.{kind}" for kind in ("html", "json", "md")}
    assert files == {"README.md", "experiment.json", "model.safetensors"} | report


def test_the_experiment_names_no_folder_of_this_machine(run, castream, tmp_path):
    experiment, workdir = run
    castream("--workdir", workdir, "--output", tmp_path / "out", "--without_pictures")
    text = (tmp_path / "out" / "experiment.json").read_text()
    assert experiment.data.directory not in text
    assert experiment.data.directory not in (tmp_path / "out" / "README.md").read_text()
    again = from_dict(json.loads(text))
    assert again.data.directory == Path(experiment.data.directory).name
    assert again.model == ModelConfig(name="resnet18_small")
    assert not (tmp_path / "out" / "evaluation" / "castream" / "report.html").exists()
    with pytest.raises(SystemExit) as ended:
        castream("--workdir", workdir, "--output", tmp_path / "out")
    assert ended.value.code == 2


def test_a_dry_run_uploads_nothing(run, hub, castream, capsys):
    castream("--workdir", run[1], "--to=somebody/digits", "--dry_run")
    said = capsys.readouterr().out
    assert "bytes  model.safetensors" in said
    assert "nothing is uploaded" in said
    assert not hub.place.exists()


@pytest.mark.parametrize(
    ("words", "said"), [((), "--to is missing"), (("--to=digits",), "expected a repository of the Hugging Face hub")]
)
def test_a_repository_is_named(words, said, run, castream, capsys):
    with pytest.raises(SystemExit) as ended:
        castream("--workdir", run[1], *words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def refusal(code: int) -> HfHubHTTPError:
    response: Any = SimpleNamespace(status_code=code, headers={}, request=None)
    return HfHubHTTPError("no", response=response)


@pytest.mark.parametrize(
    ("problem", "kind", "said"),
    [
        (LocalTokenNotFoundError("no token"), InputError, "nobody is logged in"),
        (refusal(403), InputError, r"does not let you write there \(403\)"),
        (refusal(503), RunError, r"did not take somebody/digits \(503\)"),
        (ConnectionError("no route"), RunError, r"cannot be uploaded \(no route\)"),
    ],
)
def test_what_the_hub_refuses(problem, kind, said, hub, tmp_path):
    def refuse(*_, **__):
        raise problem

    hub.create_repo = refuse
    with pytest.raises(kind, match=said):
        upload_folder(tmp_path, "somebody/digits", False)


def test_a_network_that_is_not_trained(castream, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        castream("--config=demo", "--workdir", tmp_path / "none", "--output", tmp_path / "out")
    assert ended.value.code == 2
    assert "train a network first" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
