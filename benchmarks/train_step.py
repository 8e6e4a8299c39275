"""What a training step of poolings costs beyond the frozen backbone's forward pass, which no step can avoid.

    python -m benchmarks.train_step [resnet50 convnext_base ...] [--batch=8] [--dtype=float32] [--rounds=9]
        [--pooling="ca, simpool, gem"]

Times the step and the forward pass (pixels to features and the first pooling's logits) in turn, at 224 pixels, and
prints the median of the rounds' ratios with its quartiles. On the CPU unless JAX finds another device.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import jax
import numpy as np
from flax import nnx

import castream_jax as ca
from castream_jax.compute.sharding import create_mesh, replicate, shard_batch
from castream_jax.config import StageConfig
from castream_jax.training.optimizer import create_optimizer
from castream_jax.training.state import create_state, split_state
from castream_jax.training.step import create_train_step, list_trained

SIZE = 224


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    began = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - began


def measure(name: str, pooling: str, batch_size: int, dtype: str, rounds: int) -> list[tuple[float, float]]:
    """Return (seconds of a step, seconds of the forward pass) of each round."""
    mesh, settings = create_mesh(), StageConfig(epochs=90, batch_size=batch_size)
    model = ca.create_model(name, pooling, dtype=dtype)
    optimizer = create_optimizer(settings, 1000, tuple(list_trained(model, "stream").values()))
    graphdef, whole = nnx.split(model)
    params, moving, frozen = split_state(whole, "stream")
    state, frozen = replicate((create_state(params, moving, optimizer), frozen), mesh)
    step = create_train_step(graphdef, optimizer, "stream", settings, 0, mesh)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (batch_size, SIZE, SIZE, 3), dtype=np.uint8)
    batch = shard_batch({"images": pixels, "labels": np.arange(batch_size, dtype=np.int32)}, mesh)

    @jax.jit
    def forward(whole: nnx.State, images: jax.Array) -> jax.Array:
        model = nnx.merge(graphdef, whole)
        return model(model.normalisation(images))

    def one_step() -> object:
        nonlocal state
        state, metrics = step(state, frozen, batch)
        return metrics

    whole = replicate(whole, mesh)
    times = []
    for round_ in range(rounds + 1):
        pair = seconds(one_step), seconds(lambda: forward(whole, batch["images"]))
        if round_:  # the first one compiles
            times.append(pair)
    return times


def main(names: list[str], pooling: str, batch_size: int, dtype: str, rounds: int) -> None:
    """Print a Markdown table."""
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, batch {batch_size}, {dtype}, {rounds} rounds")
    print(f"poolings: {pooling}\n")
    print("| network | step / forward | quartiles | step, images/s | forward, images/s |")
    print("|---|---:|---:|---:|---:|")
    for name in names:
        times = measure(name, pooling, batch_size, dtype, rounds)
        ratios = [step / forward for step, forward in times]
        low, middle, high = statistics.quantiles(ratios, n=4)
        rates = [batch_size / statistics.median(column) for column in zip(*times, strict=True)]
        print(f"| {name} | {middle:.3f} | {low:.3f}-{high:.3f} | {rates[0]:.1f} | {rates[1]:.1f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["resnet50", "convnext_base"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pooling", default="ca")
    options = parser.parse_args()
    main(options.networks, options.pooling, options.batch, options.dtype, options.rounds)
