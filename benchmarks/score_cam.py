"""Score-CAM of all poolings, of the first channels of a feature map: what benchmarks compile."""

import jax
import jax.numpy as jnp

from castream_jax.attribution.method import Scene
from castream_jax.attribution.score_cam import score_cam
from castream_jax.binding.maps import compute_maps
from castream_jax.binding.shared_trunk import joint_columns, joint_scores
from castream_jax.compute.questions import Panel
from castream_jax.models.network import Network


def compute_score_cam(
    model: Network,
    images: jax.Array,
    labels: jax.Array,
    channels: int,
    chunk: int,
    share: float = 0.0,
    variant: str = "published",
) -> tuple[jax.Array, jax.Array]:
    """Return the maps [S B h w] of all poolings, and how many images were asked for: packed, a black one first.

    Args:
      model, images, labels: what is explained; images are normalised.
      channels: the first ones of the last feature map alone.
      chunk: masked images in a pass.
      share: of the channels that are asked for, the map being estimated from them; 0: all, and it is exact.
      variant: of Score-CAM.
    """
    target = model.target(None)
    networks = model.poolings()
    members = list(networks.values())
    features = model.features(images)
    some = features | {target: features[target][..., :channels]}
    classes = jnp.broadcast_to(labels[:, None], (len(members), len(images), 1))
    method = score_cam(passes=share, variant=variant)
    scores, columns = joint_scores(members, method.asks_logits), joint_columns(members, classes)
    panel = Panel(scores, columns, chunk, logits_from=len(members) * model.num_classes if method.asks_logits else None)
    scene = Scene(images, model.normalisation, some, some[target], jnp.arange(len(images)), panel.columns)
    found = compute_maps(networks, scene, dict(zip(networks, classes)), (method,), target, panel)
    maps = jnp.stack([values[:, 0] for values in found.maps.values()])
    asked = [one.question.count if one.number is None else one.number.sum() for one in found.asked]
    return maps, jnp.asarray(sum(asked))
