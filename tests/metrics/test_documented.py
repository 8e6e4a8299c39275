"""The page of metrics: a line for each record, and the passes that each asks for."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from castream_jax import METRICS, PROTOCOLS
from castream_jax.binding.measures import measure_maps
from castream_jax.compute.questions import Again, Asked, Panel
from castream_jax.metrics.metric import Case, Metric
from tests.metrics.cases import NORMALISATION

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parent.parent.parent / "docs" / "metrics.md"
SIDE, MAPS, IMAGES = 28, 6, 2  # 28 steps of a row
RESNET50_PARTS = 1 + 5 + 5
"""Classifier, blocks of the stream, stages with the stem."""


def ask(metric: Metric) -> list[Asked]:
    """Return what a metric asks, by shapes alone."""
    asked: list[Asked] = []
    protocol = dataclasses.replace(PROTOCOLS["rise"], step_rows=1)

    def run(images: jax.Array, saliency: jax.Array, truth: jax.Array) -> dict[str, jax.Array]:
        partners = jnp.stack([images] * 3, 1)
        case = Case(images, saliency, jnp.asarray([0, 1] * 3), protocol, NORMALISATION, truth, partners=partners)
        panel = Panel(lambda shown: jnp.zeros((len(shown), 3)), jnp.zeros((IMAGES, 1), jnp.int32), 64)
        panel = dataclasses.replace(panel, explain=explain)
        found, questions = measure_maps(panel, case, [metric])
        asked.extend(questions)
        return found

    shapes = [(IMAGES, SIDE, SIDE, 3), (MAPS, SIDE, SIDE)]
    truth = jax.ShapeDtypeStruct((IMAGES, SIDE, SIDE), bool)
    jax.eval_shape(run, *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes), truth)
    return asked


def explain(again: Again) -> tuple[jax.Array, int]:
    """Answer for maps made again, of ResNet-50 with a stream where its weights are drawn again."""
    if again.networks != "own":
        turns = 1 + RESNET50_PARTS if again.networks == "cascade" else 2
        return jnp.zeros((turns, MAPS)), turns
    if again.make is None:
        return jnp.zeros((again.turns, MAPS)), 0
    one = jax.eval_shape(again.make, jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((1,), jnp.int32))
    return jnp.zeros((again.turns, MAPS)), again.turns * one.shape[1] * one.shape[2] // SIDE**2


def count_passes(metric: Metric) -> tuple[int, int]:
    """Return the passes of a map, and those of an image whatever its maps, beside the image itself."""
    of_map = of_image = 0
    for one in ask(metric):
        if isinstance(one.question, Again):
            of_map += one.each if one.question.share == "map" and one.question.networks == "own" else 0
            of_image += one.each if one.question.share == "image" or one.question.networks != "own" else 0
        elif one.question.key != ("images",):
            of_map += one.question.count // MAPS if one.question.share == "map" else 0
            of_image += one.question.count // IMAGES if one.question.share == "image" else 0
    return of_map, of_image


def write_line(metric: Metric) -> str:
    """Return a metric's line of the table."""
    name = metric.name if metric.by_default else f"*{metric.name}*"
    said = f"{metric.meaning} {metric.formula and f'`{metric.formula}`'}".strip()
    of_map, of_image = count_passes(metric)
    return f"| {metric.heading} | {name} | {said} | {metric.source} | {of_map} | {of_image} |"


def write_tables() -> str:
    """Return the page's tables, a title for each question, those that are not measured by default in italics."""
    parts = []
    for question in dict.fromkeys(metric.question for metric in METRICS.values()):
        heading = "| | name | meaning | source | passes of a map | of an image |\n|---|---|---|---|--:|--:|"
        lines = [write_line(metric) for metric in METRICS.values() if metric.question == question]
        parts.append("\n".join([f"## {question}", "", heading, *lines]))
    return "\n\n".join(parts)


def test_the_page_has_every_metric_and_its_passes():
    missing = [line for line in write_tables().splitlines() if line not in PAGE.read_text().splitlines()]
    assert not missing, "docs/metrics.md lacks these lines:\n" + "\n".join(missing)


def test_passes():
    assert count_passes(METRICS["AD"]) == (1, 0)
    assert count_passes(METRICS["SRG"]) == (2 * 27, 0)
    assert count_passes(METRICS["MRG"]) == (27, 27)
    assert count_passes(METRICS["SD"]) == (0, 16)
    assert count_passes(METRICS["ROAD"]) == (18, 0)
    assert count_passes(METRICS["Coh"]) == (1, 0)
    assert count_passes(METRICS["Sens"]) == (0, 10)
    assert count_passes(METRICS["GridPG"]) == (0, 4)
    assert count_passes(METRICS["RLT"]) == count_passes(METRICS["Gini"]) == (0, 0)
