"""One program for a batch of images: features, maps of every method and pooling, and what they are worth.

    images -> features -> maps -> measures

Networks that share a trunk share its passes: one over the images, one stream of questions for the maps, and one for
what is measured of them, null maps and maps from elsewhere included.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from castream_jax.attribution.method import PASSES, Method, Scene
from castream_jax.attribution.null_maps import NullMap
from castream_jax.binding.again import MapMaker, list_drawers
from castream_jax.binding.ledger import Ledger
from castream_jax.binding.maps import ComputedMaps, MapKey, compute_maps, explained_keys
from castream_jax.binding.measures import measure_maps
from castream_jax.binding.shared_trunk import joint_columns, joint_logits, joint_scores
from castream_jax.compute.masking import upsample
from castream_jax.compute.questions import Asked, Panel
from castream_jax.metrics.metric import Case, Metric
from castream_jax.metrics.protocol import Protocol
from castream_jax.models.answers import predict
from castream_jax.models.cascade import Cascade
from castream_jax.models.network import Features, Network


@dataclass(frozen=True)
class Plan:
    """What to compute for each image."""

    target: str
    """The feature map that attributions start from."""
    chunk: int
    """Images in one forward pass of whatever is asked."""
    methods: tuple[Method, ...] = ()
    given: tuple[str, ...] = ()
    """Names of the maps that come from elsewhere, measured under every pooling."""
    null_maps: tuple[NullMap, ...] = ()
    metrics: tuple[Metric, ...] = ()
    protocols: tuple[Protocol, ...] = ()
    """The metrics are measured under each of them."""
    tell: Callable[[Any, Any], None] | None = None
    """As a panel's; hashable, as all of a plan is."""

    def keys(self, networks: Mapping[str, Network]) -> tuple[MapKey, ...]:
        """Return the maps in the order of the table: those of methods, from elsewhere, null maps.

        Raises:
          InputError: as `explained_keys`.
        """
        own = explained_keys(networks, self.methods)
        others = (*self.given, *(null.key for null in self.null_maps))
        return (*own, *((name, pooling) for name in others for pooling in networks))


@dataclass(frozen=True)
class Views:
    """Images as the program takes them."""

    images: Float[Array, "B H W C"]
    """Normalised."""
    labels: Int[Array, "B K"]
    """The classes to explain; -1: the network's own answer."""
    indices: Int[Array, "B"] | None = None
    """Places in the dataset; None: those in the batch."""
    truth: Bool[Array, "B H W"] | None = None
    """Where the object is."""
    given: Mapping[str, Float[Array, "B h w"]] = field(default_factory=dict)
    """Maps from elsewhere, in [0, 1]."""
    partners: Float[Array, "B n H W C"] | None = None
    """Normalised images of other classes, for each of them."""


@dataclass(frozen=True)
class Found:
    """What the program found for a batch."""

    computed: ComputedMaps
    predicted: Int[Array, "S B"]
    """Each pooling's answer; -1 where its logits are no numbers."""
    explained: Int[Array, "S B K"]
    """The classes explained; -1 where there is none."""
    measures: list[dict[str, Float[Array, "M B ..."]]]
    """For each protocol, the columns of the rows by name, the maps in the order of `Plan.keys`."""
    ledger: Ledger


def run(
    networks: Mapping[str, Network],
    views: Views,
    plan: Plan,
    features: Features | None = None,
    cascade: Cascade | None = None,
) -> Found:
    """Return everything that a plan says, of one batch.

    Args:
      networks: by pooling; they share one trunk.
      views: the images. If anything is measured, they have one class each.
      plan: what to compute.
      features: of the images, where they are there already.
      cascade: the networks with weights that are drawn again, if a metric asks for them.
    """
    members = list(networks.values())
    trunk = members[0]
    features = trunk.features(views.images) if features is None else features
    logits = [network.head(features)[0] for network in members]
    predicted = jnp.stack([predict(values) for values in logits])  # [S B]
    explained = jnp.where(views.labels >= 0, views.labels, predicted[..., None])  # [S B K]
    labels = jnp.maximum(explained, 0)  # of a network without an answer any class: all are NaN
    with_logits = any(method.asks_logits for method in plan.methods)
    panel = Panel(
        joint_scores(members, with_logits),
        joint_columns(members, labels),
        plan.chunk,
        plan.tell,
        logits_from=len(members) * trunk.num_classes if with_logits else None,
    )
    indices = jnp.arange(len(views.images)) if views.indices is None else views.indices
    feature_map = features[plan.target]
    explained_logits = joint_logits(members, features, plan.target, labels)
    scene = Scene(views.images, trunk.normalisation, features, feature_map, indices, panel.columns, explained_logits)
    computed = compute_maps(networks, scene, dict(zip(networks, labels)), plan.methods, plan.target, panel)
    drawers = list_drawers(plan.methods, tuple(computed.maps), len(plan.given), plan.null_maps)
    measured = {name: own[:, 0] for name, own in zip(networks, labels)}
    panel = replace(panel, explain=MapMaker(networks, scene, measured, plan.target, drawers, cascade))
    shared = len(plan.given) + len(plan.null_maps)
    measures, measuring = measure(networks, scene, computed, views, plan, panel) if plan.protocols else ([], [])
    through = PASSES * computed.through_trunk
    ledger = Ledger(computed.asked, measuring, len(networks), len(computed.maps), shared, len(views.images), through)
    return Found(computed, predicted, explained, measures, ledger)


def measure(
    networks: Mapping[str, Network],
    scene: Scene,
    computed: ComputedMaps,
    views: Views,
    plan: Plan,
    panel: Panel,
) -> tuple[list[dict[str, Float[Array, "M B ..."]]], list[Asked]]:
    """Return the columns of the rows under each protocol, and what was asked.

    Args:
      networks, views, plan: as for `run`.
      scene: the images and their feature maps.
      computed: the maps of the methods.
      panel: who answers.
    """
    size = (views.images.shape[1], views.images.shape[2])
    own = [upsample(maps[:, 0], size) for maps in computed.maps.values()]
    given = [upsample(views.given[name], size) for name in plan.given]
    drawn = [*own, *given, *(null.draw(scene) for null in plan.null_maps)]
    # [JB H W], J maps of each image. A null map is known before there are images: the compiler would measure it slowly.
    saliency = lax.optimization_barrier(jnp.concatenate(drawn))
    of = jnp.tile(jnp.arange(len(views.images)), len(drawn))
    poolings = [list(networks).index(name) for _, name in computed.maps]
    measures, asked = [], []
    for protocol in plan.protocols:
        known = views.truth, scene.indices, views.partners
        case = Case(views.images, saliency, of, protocol, scene.normalisation, *known)
        columns, more = measure_maps(panel, case, plan.metrics)
        measures.append({name: by_key(values, len(drawn), poolings) for name, values in columns.items()})
        asked += more
    return measures, asked


def by_key(values: Float[Array, "JB S ..."], jobs: int, poolings: Sequence[int]) -> Float[Array, "M B ..."]:
    """Return measures by row: maps of one pooling, which come first, under that one, the others under each."""
    apart = values.reshape(jobs, -1, *values.shape[1:])  # [J B S ...]
    own = [apart[job, :, pooling] for job, pooling in enumerate(poolings)]
    others = [apart[job, :, pooling] for job in range(len(poolings), jobs) for pooling in range(values.shape[1])]
    return jnp.stack([*own, *others])
