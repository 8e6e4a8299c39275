"""How many images go through the network in an evaluation, and how many would without sharing."""

from dataclasses import dataclass, fields

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from castream_jax.evaluation.maps import ComputedMaps
from castream_jax.metrics.protocol import Protocol


@dataclass(frozen=True)
class Cost:
    """Images through the network."""

    made: int
    """Without what fills the last chunk and the last batch."""
    without_sharing: int
    """Of a plain computation: for each map its own forward pass, all channels of Score-CAM, every point of a curve."""
    dead_channels: int
    """Passes of Score-CAM not made because the channel is flat."""
    pruning: int
    """Passes of Score-CAM not made because the channel is certified not to matter."""
    shared_trunk: int
    """Passes not made because another pooling made them."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(Cost)))

    def report(self) -> dict[str, int]:
        """Return the numbers as the report names them; end points have what the other reasons leave."""
        named = {"shared_trunk": self.shared_trunk, "dead_channels": self.dead_channels, "pruning": self.pruning}
        found = {name: count for name, count in named.items() if count}
        rest = self.without_sharing - self.made - sum(found.values())
        return {"made": self.made, "without_sharing": self.without_sharing} | found | {"shared_ends": rest}


def from_array(counts: Int[np.ndarray, "devices 5"]) -> Cost:
    """Return the sum over devices of what `count_passes` returned."""
    return Cost(*(int(count) for count in np.asarray(counts, np.int64).sum(0)))


def accuracy_cost(images: int, poolings: int) -> Cost:
    """Return the cost of asking some poolings for the classes of images."""
    return Cost(images, images * poolings, dead_channels=0, pruning=0, shared_trunk=images * (poolings - 1))


def curve_points(protocol: Protocol, size: tuple[int, int]) -> int:
    """Return the points of an insertion or deletion curve."""
    return -(-size[0] * size[1] // protocol.step(size[1])) + 1


def passes_besides_score_cam(protocol: Protocol, size: tuple[int, int], maps: int) -> int:
    """Return the passes of one image: features, p and the blurred image, and of each map o and both curves' insides."""
    return 3 + maps * (1 + 2 * (curve_points(protocol, size) - 2))


def count_passes(
    protocol: Protocol,
    found: ComputedMaps,
    feature_map: Float[Array, "B h w C"],
    valid: Bool[Array, "B"],
    size: tuple[int, int],
    poolings: int,
    null_maps: int,
) -> Int[Array, "5"]:
    """Return a `Cost` as an array, in its order: of one device's part of a batch."""
    c = feature_map.shape[-1]
    images, explained = valid.sum(), len(found.maps)
    each = 2 + 2 * curve_points(protocol, size)  # p, o and both curves of one map
    made = images * passes_besides_score_cam(protocol, size, explained + null_maps) + 1  # the zero image once
    plain = images * (explained * (1 + each) + null_maps * poolings * each)
    shared_trunk = images * null_maps * (poolings - 1) * each
    dead, pruned = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    if found.score_cam is not None:
        scores = len(found.score_cam.maps)
        live = feature_map.max((1, 2)) > feature_map.min((1, 2))  # [B C]
        weighed = jnp.sum(found.score_cam.weighed * valid)
        dead = jnp.sum(~live & valid[:, None])
        pruned = images * c - dead - weighed
        made += weighed + 1  # the black image once
        plain += images * scores * c
        shared_trunk += images * (scores - 1) * c
    return jnp.stack([jnp.asarray(count, jnp.int32) for count in (made, plain, dead, pruned, shared_trunk)])


def predict_passes(protocol: Protocol, size: tuple[int, int], maps: int, channels: int, score_cam: bool) -> int:
    """Return the most passes of one image: no channel of Score-CAM flat or left out."""
    return passes_besides_score_cam(protocol, size, maps) + channels * score_cam
