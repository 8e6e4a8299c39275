"""The programs of training and evaluation as they are lowered for GPU and TPU, without one: what stands in them."""

import functools
import re

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax import export

import castream_jax as ca
from castream_jax.binding.program import Plan
from castream_jax.config import StageConfig
from castream_jax.evaluation.batch import create_evaluate_batch
from castream_jax.experiment.split_accuracy import create_count_step
from castream_jax.training.optimizer import create_optimizer
from castream_jax.training.state import create_state, split_state
from castream_jax.training.step import create_train_step, list_trained

pytestmark = pytest.mark.slow

NETWORKS = ("resnet50", "convnext_base", "efficientnet_lite0")
PLATFORMS = ("cuda", "tpu")
POOLINGS = {"evaluation": "ca", "training": "ca, simpool, gem", "pretraining": "gap", "accuracy": "ca"}
SIDE, BATCH = 224, 2
METHODS = ("grad_cam", "grad_cam_pp", "score_cam", "attention")
METRICS = ("AD", "AG", "AI", "I", "D")


def shapes_of(tree: object) -> object:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def batch_of(*names: str) -> dict[str, jax.ShapeDtypeStruct]:
    """Return a batch's shapes, the images and some of the others."""
    kinds = {"labels": jnp.int32, "indices": jnp.int32, "valid": bool, "oriented": bool, "transparent": bool}
    images = {"images": jax.ShapeDtypeStruct((BATCH, SIDE, SIDE, 3), jnp.uint8)}
    return images | {name: jax.ShapeDtypeStruct((BATCH,), kinds[name]) for name in names}


@functools.cache
def create_program(kind: str, name: str, dtype: str):
    """Return one of our programs and the shapes of its arguments."""
    model = nnx.eval_shape(lambda: ca.create_model(name, POOLINGS[kind], dtype=dtype))
    graphdef, state = nnx.split(model)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    if kind == "accuracy":
        batch = batch_of("labels", "valid", "oriented", "transparent")
        return create_count_step(graphdef, mesh), (shapes_of(state), batch)
    if kind == "evaluation":
        plan = Plan(
            model.target(None),
            16,
            tuple(ca.METHODS[key] for key in METHODS),
            metrics=tuple(ca.METRICS[symbol] for symbol in METRICS),
            protocols=(ca.PROTOCOLS["castream"],),
        )
        batch = batch_of("labels", "indices", "valid")
        return create_evaluate_batch(graphdef, plan, mesh), ((shapes_of(state), None), batch)
    stage, settings = {"training": "stream", "pretraining": "backbone"}[kind], StageConfig(epochs=1, clip_norm=1.0)
    optimizer = create_optimizer(settings, 100, tuple(list_trained(model, stage).values()))
    params, statistics, frozen = split_state(state, stage)
    train_state = jax.eval_shape(lambda p, s: create_state(p, s, optimizer), shapes_of(params), shapes_of(statistics))
    step = create_train_step(graphdef, optimizer, stage, settings, 0, mesh)
    return step, (train_state, shapes_of(frozen), batch_of("labels"))


@functools.cache
def lower(kind: str, name: str, platform: str, dtype: str = "float32") -> str:
    """Return a program in StableHLO, as it is lowered for a platform that is not here."""
    program, arguments = create_program(kind, name, dtype)
    return export.export(program, platforms=(platform,))(*arguments).mlir_module()


CASES = [
    *(("evaluation", name) for name in NETWORKS),
    *(("training", name) for name in NETWORKS),
    ("accuracy", "resnet50"),
    ("pretraining", "resnet50"),
]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(("kind", "name"), CASES, ids="-".join)
def test_a_program_suits_the_accelerator(kind, name, platform):
    text = lower(kind, name, platform)
    calls = set(re.findall(r"custom_call @([\w.]+)", text)) - {
        "Sharding",
        "SPMDFullToShardShape",
        "SPMDShardToFullShape",
    }
    assert not calls, "library calls and callbacks to the host"
    assert "xf64>" not in text
    assert "tensor<f64>" not in text
    multiplied = [line for line in text.splitlines() if re.search(r"stablehlo\.(convolution|dot_general)", line)]
    assert multiplied
    assert all("f32>" in line and line.count("HIGHEST") == 2 for line in multiplied), "products of less than float32"


@pytest.mark.parametrize("name", NETWORKS)
def test_both_get_the_same_formulation_and_not_that_of_a_cpu(name):
    """On a CPU early layers run through a batch by parts, in a loop, and small convolutions are products."""
    gpu, tpu, cpu = (lower("accuracy", name, platform) for platform in ("cuda", "tpu", "cpu"))
    counts = {
        platform: [text.count(f"stablehlo.{operation}") for operation in ("convolution", "dot_general", "while")]
        for platform, text in (("cuda", gpu), ("tpu", tpu), ("cpu", cpu))
    }
    assert counts["cuda"] == counts["tpu"]
    assert counts["cuda"] != counts["cpu"]
    assert counts["tpu"][2] == 0


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_trunk_computes_in_bfloat16_and_the_rest_in_float32(platform):
    text = lower("accuracy", "resnet50", platform, "bfloat16")
    kinds = [
        re.findall(r"tensor<(?:\d+x)*(\w+)>", line)[-3:]
        for line in text.splitlines()
        if re.search(r"stablehlo\.(convolution|dot_general)", line)
    ]
    assert kinds.count(["bf16"] * 3) == 53  # convolutions
    assert kinds.count(["f32"] * 3) == len(kinds) - 53 > 0  # two classifiers and the stream


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_step_takes_over_the_memory_of_its_state(platform):
    _, (state, *_) = create_program("training", "resnet50", "float32")
    text = lower("training", "resnet50", platform)
    arguments = re.search(r"func\.func public @main\((.*?)\) ->", text, re.DOTALL)
    assert arguments is not None
    given = len(re.findall(r"tf\.aliasing_output|jax\.buffer_donor", arguments[1]))
    assert given == len(jax.tree.leaves(state))
