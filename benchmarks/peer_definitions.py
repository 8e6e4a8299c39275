"""What the peers' maps are where they are not ours, computed from our feature maps, gradients and logits.

Sums are before ReLU and min-max, as a method's `sums`; each function's sentence is what a reason rests on.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import castream_jax as ca
from benchmarks.peer_trial import TARGET, Pair
from castream_jax.attribution.layer_cam import GAMMA, weigh
from castream_jax.attribution.method import Head, weighted_sum
from castream_jax.attribution.smooth_grad import SEED, SPREAD
from castream_jax.binding.shared_trunk import head_from
from castream_jax.compute.masking import min_max, upsample
from castream_jax.models.network import Network

Weigh = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From gradients and feature maps [B h w C] to weights [B C]."""


def scale(sums: object) -> np.ndarray:
    """Return maps in 0..1 as ours are made: the positive part, min-max scaled."""
    return np.asarray(min_max(jax.nn.relu(jnp.asarray(sums, jnp.float32))))


def grow(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return maps at the images' size, min-max scaled once more, as pytorch-grad-cam returns them."""
    return np.asarray(min_max(upsample(jnp.asarray(maps), size)))


def damped_grad_cam_pp(g: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return Grad-CAM++'s weights with 1e-6 in the denominator: it is 2 g^2 + ..., and of that size where g is 1e-3."""
    denominator = 2 * g**2 + g**3 * a.sum((1, 2), keepdims=True) + 1e-6
    return np.where(g != 0, g**2 / denominator * np.maximum(g, 0), 0).sum((1, 2))


def undivided_grad_cam_pp(g: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return Grad-CAM++'s weights whose alpha is its numerator: what a division in place of a copy leaves."""
    return (g**2 * np.maximum(g, 0)).sum((1, 2))


def cam(pair: Pair, weigh_channels: Weigh, stage: int = 0) -> np.ndarray:
    """Return `sum_k w_k A^k` of a stage, 0 the last."""
    a, g = pair.stages[stage]
    return np.asarray(weighted_sum(jnp.asarray(a), jnp.asarray(weigh_channels(g, a), jnp.float32)))


def centred_eigen_cam(pair: Pair) -> np.ndarray:
    """Return the projection on the first principal direction of A less its mean over positions, with the SVD's sign."""
    a = pair.stages[0][0]
    flat = a.reshape(len(a), -1, a.shape[-1])
    flat = flat - flat.mean(1, keepdims=True)
    directions = [np.linalg.svd(one, full_matrices=True)[2][0] for one in flat]
    return np.einsum("bnc,bc->bn", flat, directions).reshape(a.shape[:3])


def weighted_finer_cam(pair: Pair) -> np.ndarray:
    """Return Grad-CAM of `sum_d p_d (y_c - y_d) / sum_d p_d`, d the three classes nearest to c; p is differentiated."""
    near, one_hot = 3, jax.nn.one_hot(pair.labels, pair.ours.num_classes)

    def target(head: Head, feature_map: jax.Array) -> jax.Array:
        y = head(feature_map)
        own = (y * one_hot).sum(1, keepdims=True)
        nearest = jnp.argsort(jnp.where(one_hot > 0, jnp.inf, jnp.abs(y - own)), axis=1)[:, :near]
        p, others = (jnp.take_along_axis(values, nearest, axis=1) for values in (jax.nn.softmax(y), y))
        return ((p * (own - others)).sum(1) / (p.sum(1) + 1e-9)).sum()

    @nnx.jit
    def add_up(model: ca.Classifier, images: jax.Array) -> jax.Array:
        features = model.features(images)
        head, a = head_from(model, features, TARGET), features[TARGET]
        return weighted_sum(a, jax.grad(lambda a: target(head, a))(a).mean((1, 2)))

    return np.asarray(add_up(pair.ours, jnp.asarray(pair.images)))


def refined(pair: Pair, weigh_channels: Weigh, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return RefineCAM with other weights, on the finest grid, or of maps that are made as large as the images."""
    maps = [jnp.asarray(scale(cam(pair, weigh_channels, stage))) for stage in range(len(pair.stages))]
    if size is not None:
        return np.asarray(jnp.stack([min_max(upsample(m, size)) for m in maps]).prod(0))
    finest = maps[-1].shape[1], maps[-1].shape[2]
    return np.asarray(jnp.stack([upsample(m, finest) for m in maps]).prod(0))


def fused_layer_cam(pair: Pair) -> np.ndarray:
    """Return LayerCAM of all stages, each map min-max scaled, `tanh(gamma M)` of the last stage too, the largest."""
    maps = [jnp.tanh(GAMMA * jnp.asarray(scale(weigh(jnp.asarray(g), jnp.asarray(a))))) for a, g in pair.stages]
    finest = maps[-1].shape[1], maps[-1].shape[2]
    return np.asarray(jnp.stack([upsample(m, finest) for m in maps]).max(0))


def image_gradients(pair: Pair, images: Sequence[np.ndarray]) -> np.ndarray:
    """Return the gradients of the classes' logits at several versions [B H W 3] of the images, [n B H W 3]."""

    def logits(model: Network, seen: jax.Array) -> jax.Array:
        return jnp.take_along_axis(model.head(model.features(seen))[0], pair.labels[:, None], axis=1)

    @nnx.jit
    def find(model: Network, seen: jax.Array) -> jax.Array:
        return jax.grad(lambda x: logits(model, x).sum())(seen)

    return np.stack([np.asarray(find(pair.ours, jnp.asarray(seen, jnp.float32))) for seen in images])


def gaussian_integrated_gradients(pair: Pair, steps: int) -> np.ndarray:
    """Return integrated gradients from the mean colour, by Gauss and Legendre's rule."""
    places, widths = np.polynomial.legendre.leggauss(steps)
    found = image_gradients(pair, [(1 + place) / 2 * pair.images for place in places])
    return (pair.images * np.einsum("n,nbhwc->bhwc", widths / 2, found)).sum(-1)


def smooth_noise(pair: Pair, samples: int) -> np.ndarray:
    """Return SmoothGrad's noise of ours [n H W 3], of the range 0..1 of pixels; it is the same for all images."""
    keys = [jax.random.fold_in(jax.random.key(SEED), sample) for sample in range(samples)]
    return np.stack([SPREAD * np.asarray(jax.random.normal(key, pair.images.shape[1:])) for key in keys])


def absolute_smooth_grad(pair: Pair, samples: int) -> np.ndarray:
    """Return SmoothGrad as the mean of each noisy image's absolute gradient."""
    std = np.asarray(pair.ours.normalisation.std, np.float32)
    found = image_gradients(pair, [pair.images + noise / std for noise in smooth_noise(pair, samples)])
    return np.abs(found).mean(0).sum(-1)
