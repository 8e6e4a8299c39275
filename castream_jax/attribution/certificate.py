"""What a weighted sum of channels can still become while some of its weights are unknown.

    P = sum over known k of w_k A^k      R+, R- = sums over unknown k of max(A^k, 0), max(-A^k, 0)

Weights are probabilities, in [0, 1]: the sum over all channels lies between P - R- and P + R+ at every position,
and for all that is known may lie anywhere there. It follows for the map `M = ReLU(sum_k w_k A^k)` that `ReLU(P)`
differs from it by at most `E = max(ReLU(P + R+) - ReLU(P), ReLU(P) - ReLU(P - R-))`, which never exceeds the sum
of |A^k| over the unknown k, and that the maximum of M, which decides what is little, is at least that of
`ReLU(P - R-)`.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int


def certify(
    feature_map: Float[Array, "B h w C"], weights: Float[Array, "B C S"], known: Bool[Array, "B C"]
) -> Float[Array, "B S"]:
    """Return by how much `ReLU(P)` may differ from M at any position, relative to the maximum of M.

    It is `max E / max ReLU(P - R-)`: 0 where E is 0, infinite where nothing certifies that M is above 0 anywhere.
    Rounding in float32 is not counted. It is about 1e-7 of the largest `sum_k |w_k A^k|`, which is a larger share of
    the map the more its channels cancel.

    What bound b means for the maps after min-max (`a` from P, `a*` from M): where the maps begin at 0, as ReLU's
    nearly always do, `|a - a*| <= 2 b / (1 - b)`, and `b / (1 - b)` if no A^k is negative. Else times
    `max ReLU(P) / (max ReLU(P) - min ReLU(P))`.

    Args:
      feature_map: the channels A.
      weights: in [0, 1]; 0 where not known.
      known: whether a channel's weights are known.
    """
    maps = feature_map.astype(jnp.float32)
    rest = jnp.where(known, 0.0, 1.0)[..., None]  # [B C 1]
    above, below = _sum(jax.nn.relu(maps), rest), _sum(jax.nn.relu(-maps), rest)  # [B 1 h w]
    return _relative_error(_sum(maps, weights), above, below)


def certify_estimate(
    feature_map: Float[Array, "B h w C"], weights: Float[Array, "B C S"], known: Bool[Array, "B C"]
) -> Float[Array, "B S"]:
    """Return by how much `ReLU(sum_k w_k A^k)` may differ from M, of weights that are estimates where not known.

    Estimates in [0, 1] keep that sum between P - R- and P + R+, where M's is too: this is the farther of the two ends,
    relative to the maximum of M as in `certify`.
    """
    maps, rest = feature_map.astype(jnp.float32), jnp.where(known, 0.0, 1.0)[..., None]
    found = _sum(maps, jnp.where(known[..., None], weights, 0.0))
    above, below = _sum(jax.nn.relu(maps), rest), _sum(jax.nn.relu(-maps), rest)
    middle = jax.nn.relu(_sum(maps, weights))
    low, high = jax.nn.relu(found - below), jax.nn.relu(found + above)
    error = jnp.maximum(jnp.maximum(high - middle, middle - low).max((2, 3)), 0.0)
    error = jnp.where(known.all(1, keepdims=True), 0.0, error)
    return error / jnp.where(error == 0, 1, low.max((2, 3)))


def certify_beginnings(
    feature_map: Float[Array, "B h w C"],
    weights: Float[Array, "B C S"],
    known: Bool[Array, "B C"],
    ranked: Int[Array, "B C"],
) -> Float[Array, "B C+1 S"]:
    """Return what `certify` does where only the first n channels of a ranking are known, for every n from 0 to C.

    Args:
      feature_map: the channels A.
      weights: in [0, 1], of all channels.
      known: channels that are known even to n = 0.
      ranked: the channels of each image, in its order.
    """

    def certify_one(arrays: tuple[Array, Array, Array, Array]) -> Array:
        maps, weights, known, order = arrays
        channels = jnp.moveaxis(maps.astype(jnp.float32), 2, 0)[:, None]  # [C 1 h w]
        found = channels * weights[..., None, None]  # [C S h w]
        start = jnp.where(known[:, None, None, None], found, 0).sum(0, keepdims=True)
        unknown = jnp.where(known, 0.0, 1.0)[order, None, None, None]
        ordered = channels[order] * unknown
        sums = start + jnp.pad(jnp.cumsum(found[order] * unknown, axis=0), ((1, 0), (0, 0), (0, 0), (0, 0)))
        above, below = (
            jnp.pad(lax.cumsum(part, axis=0, reverse=True), ((0, 1), (0, 0), (0, 0), (0, 0)))
            for part in (jax.nn.relu(ordered), jax.nn.relu(-ordered))
        )
        return _relative_error(sums, above, below)

    return lax.map(certify_one, (feature_map, weights, known, ranked))


def _sum(channels: Float[Array, "B h w C"], factors: Float[Array, "B C S"]) -> Float[Array, "B S h w"]:
    return jnp.einsum("bhwc,bcs->bshw", channels, factors, precision=lax.Precision.HIGHEST)


def _relative_error(
    found: Float[Array, "a b h w"], above: Float[Array, "a _ h w"], below: Float[Array, "a _ h w"]
) -> Float[Array, "a b"]:
    """Return `max E / max ReLU(P - R-)` over positions, from P, R+ and R-."""
    # The two differences of ReLUs, without subtracting large numbers.
    rise = jnp.clip(found + above, 0, above)
    fall = jnp.clip(found, 0, below)
    error = jnp.maximum(rise, fall).max((2, 3))
    largest = jax.nn.relu(found - below).max((2, 3))
    return error / jnp.where(error == 0, 1, largest)
