"""What a user's hook hears, and what becomes of one that fails; the documentation's hooks on stand-ins of services."""

import dataclasses
import importlib
import json
import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tensorboardX.proto.event_pb2 import Event as Record

from castream_jax import Event
from castream_jax.cli.evaluate import evaluate_network
from castream_jax.config import LogConfig, from_dict
from castream_jax.errors import InputError
from castream_jax.hook import Hook
from castream_jax.training.loop import train
from tests.training.small import small_experiment

pytestmark = pytest.mark.slow

HEARD: list[Event] = []
EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"


def hear(event: Event) -> None:
    HEARD.append(event)


def fail_at_once(event: Event) -> None:
    raise ConnectionError("no route")


def fail_later(event: Event) -> None:
    HEARD.append(event)
    if event.kind == "metrics":
        raise ConnectionError("no route")


NO_FUNCTION = 3


@pytest.fixture(autouse=True)
def heard():
    HEARD.clear()
    return HEARD


def with_hook(name: str, directory: str = "", **changes: object):
    return small_experiment(directory, log=LogConfig(f"tests.test_hook:{name}", **changes))


@pytest.fixture(scope="module")
def run(demo_directory, tmp_path_factory):
    """Return the events of a training and of its evaluation, and the work directory."""
    HEARD.clear()
    workdir = tmp_path_factory.mktemp("hooked") / "run"
    experiment = with_hook("hear", str(demo_directory), num_pictures=3)
    train(experiment, workdir)
    trained = list(HEARD)
    evaluate_network(experiment, workdir, dry_run=False)
    return trained, HEARD[len(trained) :], workdir


def test_training_tells_what_it_logs(run):
    trained, _, workdir = run
    assert [event.kind for event in trained] == ["begin", *["metrics"] * (len(trained) - 2), "end"]
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    told = [{"stage": event.stage, "step": event.step} | dict(event.metrics) for event in trained[1:-1]]
    assert told == lines
    assert {event.run for event in trained} == {"training"}
    assert trained[0].settings["stream"]["epochs"] == 2
    assert not trained[-1].failed


def test_an_evaluation_tells_numbers_and_files(run):
    _, evaluated, workdir = run
    assert [event.kind for event in evaluated] == ["begin", "metrics", "files", "end"]
    report = json.loads((workdir / "evaluation" / "castream" / "report.json").read_text())
    numbers = evaluated[1].metrics
    assert numbers["accuracy/ca"] == report["accuracy"]["ca"]
    line = next(line for line in report["rows"] if (line["attribution"], line["pooling"]) == ("grad_cam", "ca"))
    assert numbers["AD/grad_cam/ca"] == line["AD"]
    assert {file.name for file in evaluated[2].files} >= {"grid.png", "report.html", "rows.parquet"}
    assert all(file.is_file() for file in evaluated[2].files)


def test_tensorboard_has_the_pictures_with_their_maps(run):
    _, _, workdir = run
    (file,) = (workdir / "tensorboard" / "stream").glob("events*")
    data, images, place = file.read_bytes(), [], 0
    while place < len(data):  # length, its checksum, record, its checksum
        size = int.from_bytes(data[place : place + 8], "little")
        event = Record.FromString(data[place + 12 : place + 12 + size])
        images += [(value.tag, event.step, value.image) for value in event.summary.value if value.HasField("image")]
        place += size + 16
    maps = {f"maps/{name}" for name in ("grad_cam/gap", "grad_cam/ca", "attention/ca")}
    assert {tag for tag, _, _ in images} == {"pictures"} | maps
    assert {step for _, step, _ in images} == {3, 6}
    assert {(image.height, image.width) for _, _, image in images} == {(32, 96)}


def test_a_hook_that_fails_at_the_beginning_ends_the_run(tmp_path):
    with pytest.raises(InputError, match=r"hook 'tests.test_hook:fail_at_once' fails \(ConnectionError: no route\)"):
        Hook(with_hook("fail_at_once"), "training", tmp_path).__enter__()


def test_a_hook_that_fails_later_is_told_once(tmp_path, caplog):
    caplog.set_level(logging.WARNING, "castream_jax")
    with Hook(with_hook("fail_later"), "training", tmp_path) as hook:
        hook.tell("metrics", step=1)
        hook.tell("metrics", step=2)
    assert [event.kind for event in HEARD] == ["begin", "metrics"]
    assert len(caplog.messages) == 1
    assert "fails (ConnectionError: no route) at 'metrics': it is not called any more" in caplog.text


def test_the_end_says_whether_the_run_failed(tmp_path):
    with pytest.raises(ZeroDivisionError), Hook(with_hook("hear"), "training", tmp_path):
        1 / 0  # noqa: B018
    assert [(event.kind, event.failed) for event in HEARD] == [("begin", False), ("end", True)]


def test_what_is_no_function_is_refused_and_others_are_silent(tmp_path):
    with pytest.raises(InputError, match="is int: expected a function of an event"):
        Hook(with_hook("NO_FUNCTION"), "training", tmp_path)
    with pytest.raises(InputError, match="config.log.hook 'tests.test_hook:hear2'.*Did you mean 'hear'"):
        Hook(with_hook("hear2"), "training", tmp_path)
    with Hook(with_hook("hear"), "training", tmp_path, speaks=False):
        assert not HEARD
    with pytest.raises(InputError, match="config.log.num_pictures is -1"):
        from_dict({"name": "x", "log": {"num_pictures": -1}})


class Service(ModuleType):
    """Stands for a logging library: notes every call, by dotted name."""

    def __init__(self, name: str, calls: list | None = None):
        super().__init__(name)
        self.calls: list = [] if calls is None else calls

    def __getattr__(self, name: str) -> "Service":
        if name.startswith("__"):
            raise AttributeError(name)
        return Service(f"{self.__name__}.{name}", self.calls)

    def __call__(self, *arguments: object, **named: object) -> None:
        self.calls.append((self.__name__, arguments, named))


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_the_documented_hooks(name, run, monkeypatch):
    trained, evaluated, _ = run
    service = Service(name)
    monkeypatch.setitem(sys.modules, name, service)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    tell = importlib.import_module(f"to_{name}").tell
    for event in [*trained, *evaluated, dataclasses.replace(trained[-1], failed=True)]:
        tell(event)
    called = [call[0].partition(".")[2] for call in service.calls]
    first, last = {"wandb": ("init", "finish"), "mlflow": ("start_run", "end_run"), "trackio": ("init", "finish")}[name]
    assert called.count(first) == 2
    assert called.count(last) == 3
    logged = [argument for _, arguments, _ in service.calls for argument in arguments if isinstance(argument, dict)]
    assert any("stream/loss" in each for each in logged)
    assert any(key.endswith("accuracy/ca") for each in logged for key in each)
    assert any("report.html" in str(call) or "Html" in call[0] or "Image" in call[0] for call in service.calls)
