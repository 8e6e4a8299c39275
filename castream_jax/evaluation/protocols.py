"""The same maps under every protocol, side by side: how much of a number is the protocol.

    castream protocols --config demo [--workdir DIR]

A protocol of the config's own is there too. The maps are of the labelled class, and so is what is measured; images come
as the config's own protocol resizes them.
"""

import operator
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from tqdm import tqdm

from castream_jax.binding.program import Views, run
from castream_jax.compute.sharding import replicate, split_images
from castream_jax.config import Experiment
from castream_jax.data.bad_records import BadRecords
from castream_jax.data.explained_classes import ExplainedClasses
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.data.pipeline import count_pictures, evaluation_batches
from castream_jax.experiment.preprocessing import chosen_protocol, with_decoding
from castream_jax.experiment.resolved import resolve_trained
from castream_jax.metrics import METRICS
from castream_jax.metrics.protocol import PROTOCOLS, Protocol
from castream_jax.models.network import Network
from castream_jax.wording import name_attribution, name_pooling


def list_protocols(experiment: Experiment) -> dict[str, Protocol]:
    """Return the protocols by name, and the experiment's own if it has one."""
    own = chosen_protocol(experiment)
    return PROTOCOLS | {own.name: own}


def measure_protocols(
    experiment: Experiment, workdir: Path
) -> tuple[dict[str, dict[str, dict[str, float]]], str, dict[str, Protocol]]:
    """Return the mean of each metric in percent, by protocol and "attribution/pooling", of how many images in words,
    and the protocols, with the config's decoding where it mattered.
    """
    resolved = resolve_trained(experiment, workdir)
    model, mesh, data = resolved.model, resolved.mesh, resolved.experiment.data
    protocols = list_protocols(experiment)
    plan = replace(resolved.plan, given=(), null_maps=(), protocols=tuple(protocols.values()))
    keys = plan.keys(model.poolings())
    graphdef, state = nnx.split(model)

    def measure_batch(state: nnx.State, batch: dict[str, jax.Array]) -> dict[str, dict[str, dict[str, jax.Array]]]:
        network: Network = nnx.merge(graphdef, state)
        views = Views(network.normalisation(batch["images"]), batch["labels"][:, None])
        measures = run(network.poolings(), views, plan).measures

        def of_map(columns: dict[str, jax.Array], m: int) -> dict[str, jax.Array]:
            held = [metric for metric in plan.metrics if metric.column in columns]
            return {metric.symbol: columns[metric.column][m] for metric in held}

        return {
            name: {"/".join(key): of_map(columns, m) for m, key in enumerate(keys)}
            for name, columns in zip(protocols, measures)
        }

    measure, state = jax.jit(split_images(measure_batch, mesh)), replicate(state, mesh)
    images, resize, batch_size = range(resolved.images), resolved.resize, resolved.batch_size
    bad_records = BadRecords(resolved.source, data.on_bad_record)
    batches = evaluation_batches(resolved.source, resize, batch_size, images, bad_records=bad_records)
    results, pictures, records = [], PictureCounts(), resolved.source.records
    with tqdm(total=len(images), desc="protocols", unit="image") as bar:
        for batch in batches:
            found = jax.device_get(measure(state, {name: batch[name] for name in ("images", "labels")}))
            results.append(jax.tree.map(operator.itemgetter(batch["valid"]), found))
            pictures += (
                records.count_pictures(batch) if isinstance(records, ExplainedClasses) else count_pictures(batch)
            )
            bar.update(int(batch["valid"].sum()))
    means = jax.tree.map(lambda *parts: 100 * float(np.concatenate(parts).mean(dtype=np.float64)), *results)
    counted = f"{pictures.images:,} images"
    if isinstance(records, ExplainedClasses):
        counted = f"{sum(len(jax.tree.leaves(each)[0]) for each in results):,} classes of {counted}"
    return means, counted, {name: with_decoding(protocols[name], data, pictures) for name in means}


def render(means: dict[str, dict[str, dict[str, float]]], counted: str, known: Mapping[str, Protocol]) -> str:
    """Return the table: a line for each map, and for each protocol its metrics."""
    protocols = [known[name] for name in means]
    titles = [f"{protocol.name} ({protocol.hash})" for protocol in protocols]
    first = next(iter(next(iter(means.values())).values()))
    metrics = [metric for symbol, metric in METRICS.items() if symbol in first]  # a jit sorts by name
    headings = [f"{metric.heading} {protocol.name}" for protocol in protocols for metric in metrics]
    lines = [
        f"{counted}, in percent; protocols {' and '.join(titles)}.",
        "",
        f"| attribution | pooling | {' | '.join(headings)} |",
        f"|---|---|{'--:|' * len(headings)}",
    ]
    for key in next(iter(means.values())):
        attribution, _, pooling = key.partition("/")
        numbers = [f"{means[p.name][key][metric.symbol]:.2f}" for p in protocols for metric in metrics]
        lines.append(f"| {name_attribution(attribution)} | {name_pooling(pooling)} | {' | '.join(numbers)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    from castream_jax.cli.protocols import main

    main()
