"""A network that is not a number: no class is predicted, no number is measured, and none is right."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh

from castream_jax import PROTOCOLS
from castream_jax.attribution.null_maps import NULL_MAPS
from castream_jax.binding.choices import choose_methods, choose_metrics
from castream_jax.binding.program import Plan
from castream_jax.compute.sharding import DATA, replicate
from castream_jax.evaluation.batch import create_evaluate_batch, to_rows
from castream_jax.evaluation.rows import count_maps, summarise
from castream_jax.experiment.split_accuracy import count_correct
from tests.networks import small_resnet

METRICS = (
    "probability",
    "masked_probability",
    "average_drop",
    "average_gain",
    "average_increase",
    "insertion",
    "deletion",
)


@pytest.fixture(scope="module")
def table():
    """Return the rows of three images, of a network whose stream is not a number, under predicted classes."""
    model = small_resnet()
    model.stream.query[...] = model.stream.query[...] * jnp.nan
    mesh = Mesh(np.array(jax.devices()[:1]), (DATA,), axis_types=(jax.sharding.AxisType.Auto,))
    graphdef, state = nnx.split(model)
    plan = Plan(
        target=model.target(None),
        chunk=16,
        methods=choose_methods(("grad_cam", "attention")),
        null_maps=tuple(NULL_MAPS.values()),
        metrics=choose_metrics(()),
        protocols=(dataclasses.replace(PROTOCOLS["rise"], step_rows=8),),
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    batch = {
        "images": images,
        "labels": np.arange(3, dtype=np.int32),
        "valid": np.ones(3, bool),
        "indices": np.arange(3),
    }
    work = create_evaluate_batch(graphdef, plan, mesh)
    results = jax.device_get(work((replicate(state, mesh), None), batch))
    return to_rows(plan, plan.keys(model.poolings()), results, batch | {"ids": np.array(["a", "b", "c"])})


def test_its_rows_are_not_numbers_and_those_of_the_other_pooling_are(table):
    for row in table.to_pylist():
        values = [row[name] for name in METRICS] + row["insertion_curve"] + row["deletion_curve"]
        if row["pooling"] == "ca":
            assert np.isnan(values).all()  # and not those of another network's class
            assert (row["predicted_class"], row["explained_class"]) == (-1, -1)
        else:
            assert np.isfinite(values).all()
            assert row["predicted_class"] == row["explained_class"] >= 0


def test_its_means_are_none_and_its_maps_are_counted(table):
    for line in summarise(table):
        assert {line[name] is None for name in ("AD", "AG", "AI", "I", "D")} == {line["pooling"] == "ca"}
    assert count_maps(table, "nan")["grad_cam/ca"] == 3
    assert count_maps(table, "nan")["grad_cam/gap"] == 0


def test_it_is_never_right():
    logits, labels = jnp.asarray([[jnp.nan] * 3, [3.0, 1.0, 2.0]]), jnp.asarray([0, 0])
    assert count_correct(logits, labels, jnp.asarray([True, True])) == 1
