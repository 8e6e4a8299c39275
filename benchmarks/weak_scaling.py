"""Predicts how training grows over devices, from the bytes of the stream's gradient and stated speeds.

    python -m benchmarks.weak_scaling

Nothing is timed. A step's computation is the forward pass at a share of the device's stated peak; what is sent is one
all-reduce of the float32 gradient, not overlapped with anything (the worst case); latency is left out.
"""

import math

import jax
from flax import nnx

import castream_jax as ca
from castream_jax.training.state import split_state

FORWARD_MACS = {"resnet50": 4.09e9, "convnext_base": 15.36e9}
"""Multiplications of one image at 224 pixels, as torchvision states them."""
UTILISATION = 0.4
MACHINES = {  # peak bf16 FLOP/s, bytes/s of a device's links inside a host or slice, devices there, bytes/s outside
    "H100, NVLink 450 GB/s, 8 to a host, 400 Gb/s a device between hosts": (989e12, 450e9, 8, 50e9),
    "TPU v5p, 600 GB/s between all chips of a slice": (459e12, 600e9, 8960, 600e9),
}
DEVICES = (8, 64, 1024)
BATCHES = (32, 128)
"""Images on each device."""


def gradient_bytes(name: str) -> int:
    """Return the size of the stream's gradient."""
    params, _, _ = split_state(nnx.state(nnx.eval_shape(lambda: ca.create_model(name))), "stream")
    return sum(4 * math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def reduce_seconds(size: int, devices: int, inside: float, together: int, outside: float) -> float:
    """Return the time of an all-reduce: in each host, then between hosts, where each device sends its share."""
    near, hosts = min(devices, together), -(-devices // together)
    seconds = 2 * (near - 1) / near * size / inside
    return seconds + 2 * (hosts - 1) / hosts * size / near / outside


def main() -> None:
    """Print a Markdown table."""
    columns = [f"{batch} images, {devices} devices" for batch in BATCHES for devices in DEVICES]
    print("| network | gradient, MB | machine | " + " | ".join(columns) + " |")
    print("|---|---:|---|" + "---:|" * len(columns))
    for name, macs in FORWARD_MACS.items():
        size = gradient_bytes(name)
        for machine, (peak, inside, together, outside) in MACHINES.items():
            cells = []
            for batch in BATCHES:
                compute = batch * 2 * macs / (UTILISATION * peak)
                for devices in DEVICES:
                    sent = reduce_seconds(size, devices, inside, together, outside)
                    cells.append(f"{compute / (compute + sent):.1%}")
            print(f"| {name} | {size / 1e6:.2f} | {machine} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
