"""Heads and a network small enough to be computed twice, by numpy in float64 with gradients by differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import castream_jax as ca
from castream_jax.attribution.method import Method, Subject
from tests.asking import set_scene

RNG = np.random.default_rng(7)
A = RNG.random((3, 4, 5, 6)) * (RNG.random((3, 4, 5, 6)) > 0.3)
"""A feature map as a ReLU leaves it."""
SIGNED = RNG.standard_normal((3, 4, 5, 6))
LABELS = np.array([4, 0, 2])
MIX, BIAS, QUERY = RNG.standard_normal((6, 5)), RNG.standard_normal(5), 2 * RNG.standard_normal(6)


def gap_head(a, xp=jnp):
    """Return logits of a mean and one linear layer."""
    return a.mean((1, 2)) @ xp.asarray(MIX, a.dtype) + xp.asarray(BIAS, a.dtype)[None]


def ca_head(a, xp=jnp):
    """Return logits of one attention block and a linear layer."""
    scores = a @ xp.asarray(QUERY, a.dtype)
    weights = xp.exp(scores - scores.max((1, 2), keepdims=True))
    weights = weights / weights.sum((1, 2), keepdims=True)
    return (weights[..., None] * a).sum((1, 2)) @ xp.asarray(MIX, a.dtype) + xp.asarray(BIAS, a.dtype)[None]


def curved_head(a, xp=jnp):
    """Return logits behind an attention whose feature is normalised before the linear layer, as ConvNeXt's is."""
    y = ca_head(a, xp)
    return y / xp.sqrt(1 + (y**2).mean(1, keepdims=True))


def differentiate(function, x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Return the gradient of each image's number, `function` [B ...] -> [B], in float64 by central differences."""
    g = np.zeros(x.shape)
    for place in np.ndindex(x.shape[1:]):
        moved = np.zeros(x.shape)
        moved[(slice(None), *place)] = step
        g[(slice(None), *place)] = (function(x + moved) - function(x - moved)) / (2 * step)
    return g


def logit(head, labels=LABELS):
    """Return a head's logits of labels, as a function in float64."""
    return lambda a: np.take_along_axis(head(a, np), labels[:, None], axis=1)[:, 0]


def sums_of(method: Method, head, a, labels=LABELS, **known) -> np.ndarray:
    """Return a method's maps before ReLU and min-max, of a head alone, compiled."""

    def compute(a, labels):
        return method.sums(Subject(set_scene(None, a), head, known.get("attention", ()), labels, **others))

    others = {name: value for name, value in known.items() if name != "attention"}
    return np.asarray(jax.jit(compute)(jnp.asarray(a, jnp.float32), jnp.asarray(labels)))


def check_batches(method: Method, head, a=A) -> None:
    """Check that an image's map does not depend on the batch that it is in."""
    together = sums_of(method, head, a)
    for i in range(len(a)):
        alone = sums_of(method, head, a[i : i + 1], LABELS[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-4, atol=1e-5)


def check_dead_channels(method: Method, head) -> None:
    """Check that a channel of zeros, and a feature map of zeros, give numbers."""
    dead = A.copy()
    dead[..., 2] = 0
    dead[0] = 0
    found = sums_of(method, head, dead)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[0], found[0, 0, 0])


IMAGES = RNG.standard_normal((2, 8, 8, 3))
CLASSES = np.array([3, 1])
MEAN, STD = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.25, 0.3])
EARLY, LATE = RNG.standard_normal((12, 6)) / 3, RNG.standard_normal((24, 6)) / 3


def features(images, xp=jnp):
    """Return a feature map [B 2 2 6], positive, of two layers."""

    def patches(x):
        b, h, w, c = x.shape
        apart = x.reshape(b, h // 2, 2, w // 2, 2, c)
        return xp.moveaxis(apart, 2, 3).reshape(b, h // 2, w // 2, 4 * c)

    early = xp.tanh(patches(images) @ xp.asarray(EARLY, images.dtype))
    return xp.log1p(xp.exp(patches(early) @ xp.asarray(LATE, early.dtype)))


def answer(images, xp=jnp):
    """Return the network's logits."""
    return ca_head(features(images, xp), xp)


def probabilities(images) -> np.ndarray:
    """Return the network's scores in float64."""
    y = answer(images, np)
    e = np.exp(y - y.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@functools.cache
def network():
    """Return the network of these functions; its arrays are numbers, wherever it is asked for first."""
    with jax.ensure_compile_time_eval():
        return ca.network(
            lambda images: features(images), lambda a: ca_head(a), tuple(MEAN), tuple(STD), name="toy", size=8
        )


def attribute(method: Method, images=IMAGES, labels=CLASSES) -> np.ndarray:
    """Return a method's maps of the network."""
    return np.asarray(ca.attribute(network(), np.clip(images, LOW, HIGH).astype(np.float32), labels, method))


LOW, HIGH = -MEAN / STD, (1 - MEAN) / STD
IMAGES = np.clip(IMAGES, LOW, HIGH)


def upsample(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolate maps linearly by half-pixel centres, a line at a time."""

    def along(line, length):
        return np.interp((np.arange(length) + 0.5) * len(line) / length - 0.5, np.arange(len(line)), line)

    return np.apply_along_axis(along, -1, np.apply_along_axis(along, -2, maps, size[0]), size[1])


def min_max(maps: np.ndarray) -> np.ndarray:
    """Scale each map to [0, 1]; a flat one becomes zeros."""
    low, high = maps.min((-2, -1), keepdims=True), maps.max((-2, -1), keepdims=True)
    return (maps - low) / np.where(high > low, high - low, 1)


def hide(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Multiply images by masks in pixel space."""
    return ((images * STD + MEAN) * masks[..., None] - MEAN) / STD
