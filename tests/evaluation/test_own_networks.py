"""Networks, methods, metrics and maps of the user's own, from a config to a report: resumed, and on many devices."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

import castream_jax as ca
from castream_jax.config import EvaluationConfig, ModelConfig
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.pipeline import evaluation_batches
from castream_jax.data.source import open_source
from castream_jax.evaluation.estimate import estimate
from castream_jax.evaluation.runner import evaluate
from castream_jax.experiment.loading import load_trained
from castream_jax.report.text import render_terminal
from castream_jax.report.writing import write_evaluation
from tests.training.small import small_experiment

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NETWORKS = '''
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

import castream_jax as ca

HALF = (0.5,) * 3


class Linen(nn.Module):
    classes: int

    def setup(self):
        self.conv, self.dense = nn.Conv(8, (4, 4), 4), nn.Dense(self.classes)

    def features(self, x):
        return nn.relu(self.conv(x))

    def head(self, a):
        return self.dense(a.mean((1, 2)))

    def __call__(self, x):
        return self.head(self.features(x))


def linen(num_classes):
    net = Linen(num_classes)
    variables = net.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    features = lambda x: net.apply(variables, x, method="features")
    return ca.network(features, lambda a: net.apply(variables, a, method="head"), HALF, HALF, name="linen", size=32)


def of_nnx(num_classes):
    rngs = nnx.Rngs(0)
    conv, dense = nnx.Conv(3, 8, (4, 4), 4, rngs=rngs), nnx.Linear(8, num_classes, rngs=rngs)
    head = lambda a: dense(a.mean((1, 2)))
    return ca.network(lambda x: nnx.relu(conv(x)), head, HALF, HALF, score="sigmoid", name="nnx", size=32)


def vit(num_classes):
    """Tokens of 8x8 pixels, a class token, two blocks; the tokens before the last one are a map, on their grid."""
    rngs, width = nnx.Rngs(0), 16
    patches = nnx.Conv(3, width, (8, 8), 8, rngs=rngs)
    blocks = [nnx.MultiHeadAttention(2, width, decode=False, rngs=rngs) for _ in range(2)]
    first, classes = jax.random.normal(jax.random.key(1), (1, 1, width)), nnx.Linear(width, num_classes, rngs=rngs)

    def features(x):
        grid = patches(x)  # [B h w D]
        tokens = grid.reshape(len(x), -1, width)
        tokens = jnp.concatenate([jnp.tile(first, (len(x), 1, 1)), tokens], 1)
        tokens = tokens + blocks[0](tokens)
        return {"tokens": tokens[:, 1:].reshape(grid.shape), "first": tokens[:, None, :1]}

    def head(maps):
        grid = maps["tokens"]
        tokens = jnp.concatenate([maps["first"][:, 0], grid.reshape(len(grid), -1, width)], 1)
        return classes((tokens + blocks[1](tokens))[:, 0])

    return ca.network(features, head, HALF, HALF, name="vit", targets=("tokens",), size=32)
'''


@pytest.fixture(autouse=True)
def own_modules(tmp_path, monkeypatch):
    """Put the user's modules where a config finds them."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "own_nets.py").write_text(NETWORKS)
    for folder in (tmp_path / "nets", EXAMPLES):
        monkeypatch.syspath_prepend(str(folder))
    yield
    for name in ("own_nets", "elementwise_cam", "blurred_away"):
        sys.modules.pop(name, None)
    ca.METHODS.pop("elementwise_cam", None)
    ca.METRICS.pop("BA", None)


def own_experiment(demo_directory, name: str, **choices):
    """Return an experiment on a network of one's own."""
    evaluation = EvaluationConfig(
        split="test", num_images=10, batch_size=8, chunk=32, num_figures=3, attributions=("grad_cam", "score_cam")
    )
    return small_experiment(
        str(demo_directory),
        model=ModelConfig(name=f"own_nets:{name}", pooling="gap"),
        evaluation=dataclasses.replace(evaluation, **choices),
    )


@pytest.mark.parametrize("name", ["linen", "of_nnx", "vit"])
def test_a_network_of_ones_own_is_evaluated(name, demo_directory, tmp_path):
    experiment = own_experiment(demo_directory, name)
    evaluation = evaluate(experiment, tmp_path / "run")
    report, directory = write_evaluation(evaluation, experiment, tmp_path / "run")
    assert report["num_images"] == 10
    assert list(report["accuracy"]) == ["network"]
    assert {(row["attribution"], row["pooling"]) for row in report["rows"][:2]} == {
        ("grad_cam", "network"),
        ("score_cam", "network"),
    }
    assert report["settings"]["score"] == ("sigmoid" if name == "of_nnx" else "softmax")
    assert not report["differences"]
    for file in ("rows.parquet", "report.json", "report.md", "report.html", "figures/curves.png"):
        assert (directory / file).stat().st_size > 0
    source = open_source("castream_demo", "test", experiment.data.directory)
    batch = next(evaluation_batches(source, Resize(32, "squash"), 10, range(10)))
    network = load_trained(experiment, tmp_path / "run", 10)
    images = network.normalisation(batch["images"])
    maps = ca.attribute(network, images, batch["labels"], "score_cam")
    expected = ca.evaluate_maps(network, images, batch["labels"], maps)
    rows = [row for row in evaluation.rows.to_pylist() if row["attribution"] == "score_cam"]
    for column in ("average_drop", "insertion", "deletion", "probability"):
        np.testing.assert_allclose([row[column] for row in rows], expected[column], atol=2e-4, err_msg=column)


def test_records_and_maps_of_ones_own_stand_in_the_report(demo_directory, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(10):
        (tmp_path / "theirs").mkdir(exist_ok=True)
        np.save(tmp_path / "theirs" / f"test_{i:05d}.npy", rng.random((7, 7)).astype(np.float32))
    experiment = own_experiment(
        demo_directory,
        "linen",
        attributions=("grad_cam", "gradient_input", "elementwise_cam:ELEMENTWISE_CAM"),
        metrics=("AD", "AI", "D", "SRG", "SD", "Coh", "Gini", "blurred_away:BLURRED_AWAY"),
        maps=str(tmp_path / "theirs"),
        num_images=8,
    )
    evaluation = evaluate(experiment, tmp_path / "run")
    report, directory = write_evaluation(evaluation, experiment, tmp_path / "run")
    shown = [row["attribution"] for row in report["rows"]]
    assert shown[:4] == ["grad_cam", "gradient_input", "elementwise_cam", "theirs"]
    assert [metric["symbol"] for metric in report["metrics"]] == ["AD", "AI", "D", "SRG", "SD", "Coh", "Gini", "BA"]
    assert all(0 <= row["BA"] <= 100 for row in report["rows"])
    assert all(low <= high for line in report["intervals"] for low, high in [line["BA"]])
    again = ("theirs", "gradient_input")  # what is not made again
    assert any(row["SRG"] < 0 for row in report["rows"])
    assert [row["Coh"] is None for row in report["rows"]] == [row["attribution"] in again for row in report["rows"]]
    assert set(report["undefined"]["SD"]) == {"constant/network"}
    page, text = (directory / "report.html").read_text(), (directory / "report.md").read_text()
    for table in ("What the network needs", "What the network needs: other measures", "How the map is spread"):
        assert f"<h3>{table}</h3>" in page
        assert f"### {table}" in text
        assert f"\n{table}:\n" in render_terminal(report)
    assert "Element-wise CAM" in page
    assert "Blurred away" in page
    # Features and p once, three for the gradient through the trunk, 16 cells; o, two curves' inner points and five
    # blurred images for each map, one masked image for each that is made again; and the colour once a device.
    maps, inner = 4 + 4, 32 * 32 // (8 * 32) - 1
    each = 2 + 3 + 16 + maps * (1 + 2 * inner + 5) + maps - len(again)
    made = 8 * each + report["accuracy_num_images"]
    colours = report["passes"]["made"] - made
    assert 0 < colours <= 16
    assert f"at most {each:,} forward passes each, 3 of them for the maps" in estimate(experiment, shown=0)
