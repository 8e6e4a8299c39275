"""What a whole evaluation costs beyond the forward passes that it makes, on any device; nothing beside JAX is needed.

    python -m benchmarks.program [--network resnet50] [--batch 8] [--size 224] [--chunk 0] [--rounds 11]

All methods of the demo's table and the null maps, GAP and CA, all metrics, of images and weights that are drawn at
random, against as many passes of the trunk and both heads in chunks of the same size. Interleaved; medians of ratios.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

import castream_jax as ca
from benchmarks.interleaved import interleave, ratios
from castream_jax.attribution.null_maps import NULL_MAPS
from castream_jax.binding.choices import choose_methods, choose_metrics
from castream_jax.binding.chunk import choose_chunk
from castream_jax.binding.ledger import from_array
from castream_jax.binding.program import Plan, Views, run
from castream_jax.binding.shared_trunk import joint_scores
from castream_jax.metrics.protocol import get_protocol

METHODS = ("grad_cam", "grad_cam_pp", "score_cam", "attention")


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    for name, default in (("batch", 8), ("chunk", 0), ("rounds", 11)):
        parser.add_argument(f"--{name}", type=int, default=default)
    said = parser.parse_args()
    model = ca.create_model(said.network, "ca")
    chunk = said.chunk or choose_chunk(model, (said.size, said.size))
    metrics = tuple(metric for metric in choose_metrics(()) if not metric.needs_truth)
    plan = Plan(
        target=model.target(None),
        chunk=chunk,
        methods=choose_methods(METHODS),
        null_maps=tuple(NULL_MAPS.values()),
        metrics=metrics,
        protocols=(get_protocol("castream"),),
    )
    graphdef, state = nnx.split(model)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(said.batch, said.size, said.size, 3)), jnp.float32)

    @jax.jit
    def evaluate(state: nnx.State, images: jax.Array) -> tuple[jax.Array, list[dict[str, jax.Array]]]:
        network = nnx.merge(graphdef, state)
        found = run(network.poolings(), Views(images, jnp.zeros((len(images), 1), jnp.int32)), plan)
        return found.ledger.count(jnp.ones(len(images), bool)), found.measures

    made = from_array(np.asarray(evaluate(state, images)[0])[None]).made
    chunks = -(-(made - said.batch) // chunk)

    @jax.jit
    def passes(state: nnx.State, images: jax.Array) -> jax.Array:
        score_fn = joint_scores(list(nnx.merge(graphdef, state).poolings().values()))

        def fill(i: jax.Array, total: jax.Array) -> jax.Array:
            shown = jnp.roll(images, i, axis=0)[jnp.arange(chunk) % len(images)] * (1 - i / (2 * chunks))
            return total + score_fn(shown).sum()

        return lax.fori_loop(0, chunks, fill, score_fn(images).sum())

    times = interleave({"ours": lambda: evaluate(state, images), "passes": lambda: passes(state, images)}, said.rounds)
    low, middle, high = ratios(times["ours"], times["passes"])
    print(
        f"{said.network}, batch {said.batch}, {said.size} px, chunk {chunk}, {jax.devices()[0].device_kind}: "
        f"{made:,} passes, time / their forward time {middle:.3f} (quartiles {low:.3f}-{high:.3f}, "
        f"{said.rounds} rounds), {made / float(np.median(times['ours'])):,.0f} passes a second"
    )


if __name__ == "__main__":
    main()
