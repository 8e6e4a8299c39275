"""The same maps under every protocol, side by side: how much of a number is the protocol.

    castream protocols --config demo [--workdir DIR]

A protocol of the config's own is there too. The maps are of the labelled class, and so is what is measured; images come
as the config's own protocol resizes them.
"""

import operator
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from castream_jax.config import Experiment
from castream_jax.data.decoding import PictureCounts
from castream_jax.data.pipeline import count_pictures, evaluation_batches
from castream_jax.data.records import BadRecords
from castream_jax.data.source import open_split
from castream_jax.evaluation.chunk import settle_chunk
from castream_jax.evaluation.maps import compute_maps, explained_keys, joint_labels, joint_probabilities
from castream_jax.evaluation.measures import measure_maps
from castream_jax.metrics.protocol import PROTOCOLS, Protocol
from castream_jax.models.classifier import Classifier
from castream_jax.names import METRICS, name_attribution, name_pooling
from castream_jax.sharding import create_local_mesh, replicate, round_up, split_images
from castream_jax.training.network import load_trained
from castream_jax.training.preprocessing import chosen_protocol, network_resize, settled, with_decoding


def list_protocols(experiment: Experiment) -> dict[str, Protocol]:
    """Return the protocols by name, and the experiment's own if it has one."""
    own = chosen_protocol(experiment)
    return PROTOCOLS | {own.name: own}


def measure_protocols(
    experiment: Experiment, workdir: Path
) -> tuple[dict[str, dict[str, dict[str, float]]], int, dict[str, Protocol]]:
    """Return the mean of each metric in percent, by protocol and "attribution/pooling", of how many images, and the
    protocols, with the config's decoding where it mattered.
    """
    config = experiment.evaluation
    source = open_split(experiment.data, config.split)
    model = load_trained(experiment, workdir, source.num_classes)
    explained_keys(model.poolings(), config.attributions)
    protocols = list_protocols(experiment)
    chunk = settle_chunk(settled(experiment, model), model).evaluation.chunk
    graphdef, state = nnx.split(model)
    mesh = create_local_mesh()

    def measure_batch(state: nnx.State, batch: dict[str, jax.Array]) -> dict[str, dict[str, dict[str, jax.Array]]]:
        network: Classifier = nnx.merge(graphdef, state)
        networks = network.poolings()
        members = list(networks.values())
        images = network.normalisation(batch["images"])
        features = network.features(images)
        target = network.target(config.target or None)
        each = dict.fromkeys(networks, batch["labels"])
        maps = compute_maps(networks, images, features, each, config.attributions, target, chunk).maps
        columns = dict(zip(networks, joint_labels(members, jnp.stack(list(each.values())))))
        stacked = jnp.concatenate(list(maps.values()))
        source = jnp.tile(jnp.arange(len(images)), len(maps))
        classes = jnp.concatenate([columns[pooling] for _, pooling in maps])
        found = {}
        for name, protocol in protocols.items():
            score_fn = joint_probabilities(members)
            values = measure_maps(score_fn, images, stacked, source, classes, protocol, network.normalisation, chunk)
            rows = {metric.symbol: values[metric.column].reshape(len(maps), -1) for metric in METRICS}
            found[name] = {"/".join(key): {s: row[m] for s, row in rows.items()} for m, key in enumerate(maps)}
        return found

    measure, state = jax.jit(split_images(measure_batch, mesh)), replicate(state, mesh)
    count = min(config.num_images or len(source), len(source))
    bad_records = BadRecords(source, experiment.data.on_bad_record)
    batch_size = round_up(config.batch_size, mesh)
    batches = evaluation_batches(source, network_resize(model), batch_size, range(count), bad_records=bad_records)
    results, pictures = [], PictureCounts()
    with tqdm(total=count, desc="protocols", unit="image") as bar:
        for batch in batches:
            found = jax.device_get(measure(state, {name: batch[name] for name in ("images", "labels")}))
            results.append(jax.tree.map(operator.itemgetter(batch["valid"]), found))
            pictures += count_pictures(batch)
            bar.update(int(batch["valid"].sum()))
    means = jax.tree.map(lambda *parts: 100 * float(np.concatenate(parts).mean(dtype=np.float64)), *results)
    return means, pictures.images, {name: with_decoding(protocols[name], experiment.data, pictures) for name in means}


def render(means: dict[str, dict[str, dict[str, float]]], images: int, known: Mapping[str, Protocol]) -> str:
    """Return the table: a line for each map, and for each protocol its metrics."""
    protocols = [known[name] for name in means]
    titles = [f"{protocol.name} ({protocol.hash})" for protocol in protocols]
    headings = [f"{metric.heading} {protocol.name}" for protocol in protocols for metric in METRICS]
    lines = [
        f"{images:,} images, in percent; protocols {' and '.join(titles)}.",
        "",
        f"| attribution | pooling | {' | '.join(headings)} |",
        f"|---|---|{'--:|' * len(headings)}",
    ]
    for key in next(iter(means.values())):
        attribution, pooling = key.split("/")
        numbers = [f"{means[p.name][key][metric.symbol]:.2f}" for p in protocols for metric in METRICS]
        lines.append(f"| {name_attribution(attribution)} | {name_pooling(pooling)} | {' | '.join(numbers)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    from castream_jax.cli.protocols import main

    main()
