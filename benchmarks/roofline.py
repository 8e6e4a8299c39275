"""How fast a forward pass could be on accelerators that are not here: a prediction, from published peak rates.

    python -m benchmarks.roofline [resnet50 convnext_base ...] [--batch=256]

The forward pass is lowered for a TPU, without one, and its products and convolutions are counted in what comes of it.
Each takes the longer of two times: its operations at the device's peak rate, or its operands, kernel and result read
and written once at the peak of its memory. All else is taken as fused into them, and as free. So the images a second
are a bound that no program reaches; what XLA reaches of it is measured where a device is.
"""

import argparse
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

import castream_jax as ca

TENSOR = re.compile(r"tensor<((?:\d+x)*)(\w+)>")
BYTES = {"f32": 4, "bf16": 2}


SIX = 6
"""Products in bfloat16 that a TPU makes of one in float32, in the precision that we ask for."""


@dataclass(frozen=True)
class Device:
    """An accelerator, as its maker publishes it: dense, without sparsity."""

    name: str
    flops: dict[str, float]
    """Operations a second by type of operand."""
    bandwidth: float
    """Bytes a second."""


DEVICES = (
    Device("H100 SXM", {"bf16": 989.4e12, "f32": 66.9e12}, 3.35e12),
    Device("A100 80 GB SXM", {"bf16": 312e12, "f32": 19.5e12}, 2.039e12),
    Device("TPU v5e", {"bf16": 197e12, "f32": 197e12 / SIX}, 819e9),
    Device("TPU v6e", {"bf16": 918e12, "f32": 918e12 / SIX}, 1640e9),
)


@dataclass(frozen=True)
class Operation:
    """One product or convolution."""

    kind: str
    """Of its operands."""
    flops: float
    bytes: float


def read_operations(text: str) -> Iterator[Operation]:
    """Yield the products and convolutions of a program in StableHLO."""
    for line in text.splitlines():
        name = re.search(r"stablehlo\.(convolution|dot_general)", line)
        if name is None:
            continue
        left, right, result = (
            ([int(side) for side in sides.split("x") if side], kind) for sides, kind in TENSOR.findall(line)[-3:]
        )
        if name[1] == "convolution":
            inner = math.prod(right[0][:3])  # [height width channels of a group, features]
        else:
            contracted = re.search(r"contracting_dims = \[([\d, ]*)\]", line)
            assert contracted is not None
            inner = math.prod(left[0][int(axis)] for axis in contracted[1].split(","))
        moved = sum(math.prod(sides) * BYTES[kind] for sides, kind in (left, right, result))
        yield Operation(left[1], 2.0 * math.prod(result[0]) * inner, moved)


def lower_forward(name: str, dtype: str, batch: int) -> str:
    """Return the forward pass of a network from pixels to logits, as it is lowered for a TPU."""
    model = nnx.eval_shape(lambda: ca.create_model(name, "gap", dtype=dtype))
    graphdef, state = nnx.split(model)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)

    def forward(state: nnx.State, pixels: jax.Array) -> jax.Array:
        network = nnx.merge(graphdef, state)
        return network(network.normalisation(pixels))

    pixels = jax.ShapeDtypeStruct((batch, 224, 224, 3), jnp.uint8)
    return jax.jit(forward).trace(shapes, pixels).lower(lowering_platforms=("tpu",)).as_text()


def main(names: list[str], batch: int) -> None:
    """Print a Markdown table."""
    print(f"Predicted, not measured. jax {jax.__version__}, batch {batch}, 224 pixels\n")
    print("| network | type | GFLOP an image | MB an image | device | images/s at most | share bound by memory |")
    print("|---|---|---:|---:|---|---:|---:|")
    for name in names:
        for dtype in ("bfloat16", "float32"):
            operations = list(read_operations(lower_forward(name, dtype, batch)))
            size = f"{sum(o.flops for o in operations) / batch / 1e9:.2f}"
            moved = f"{sum(o.bytes for o in operations) / batch / 1e6:.1f}"
            for device in DEVICES:
                computing = [o.flops / device.flops[o.kind] for o in operations]
                moving = [o.bytes / device.bandwidth for o in operations]
                times = [max(pair) for pair in zip(computing, moving, strict=True)]
                bound = sum(t for t, m in zip(times, moving, strict=True) if t == m) / sum(times)
                rate = f"{batch / sum(times):,.0f}"
                print(f"| {name} | {dtype} | {size} | {moved} | {device.name} | {rate} | {100 * bound:.0f} % |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["resnet50", "convnext_base", "efficientnet_lite0"])
    parser.add_argument("--batch", type=int, default=256)
    options = parser.parse_args()
    main(options.networks, options.batch)
