"""The code of docs/own_network.md, as it stands there, against plain computations of the same maps and scores."""

import re
from pathlib import Path
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parent.parent / "docs" / "own_network.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
EPSILON = 2.2e-16


@pytest.fixture(scope="module")
def page() -> SimpleNamespace:
    """Return the names that the page's code defines, run from top to bottom."""
    names: dict = {}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), names)
    return SimpleNamespace(**names)


def test_every_example_is_short():
    assert len(BLOCKS) == PAGE.read_text(encoding="utf-8").count("```python") > 5
    for block in BLOCKS:
        lines = [line for line in block.splitlines() if line.strip()]
        assert len(lines) < 15, f"{len(lines)} lines:\n{block}"


def scale(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / (values.max() - values.min() + EPSILON)


def gradient_of(head, feature_map, label: int) -> np.ndarray:
    """Return the gradient of one image's logit, [h w C]."""
    return np.asarray(jax.grad(lambda a: head(a[None])[0, label])(feature_map), np.float64)


def grad_cam(feature_map: np.ndarray, g: np.ndarray) -> np.ndarray:
    return scale(np.maximum(feature_map @ g.mean((0, 1)), 0))


def grad_cam_pp(feature_map: np.ndarray, g: np.ndarray) -> np.ndarray:
    denominator = 2 * g**2 + g**3 * feature_map.sum((0, 1)) + EPSILON
    alpha = np.divide(g**2, denominator, out=np.zeros_like(g), where=(g != 0) & (denominator != 0))
    return scale(np.maximum(feature_map @ (alpha * np.maximum(g, 0)).sum((0, 1)), 0))


def score_cam(page, score_fn, feature_map: np.ndarray, image, label: int) -> np.ndarray:
    """Return one image's map by a loop over channels: mask, one forward pass, weigh."""
    height, width = image.shape[:2]
    mean, std = np.array(page.MEAN), np.array(page.STD)
    pixels = np.asarray(image) * std + mean
    # Corners on corners.
    rows, columns = (np.linspace(0, before - 1, after) for before, after in zip(feature_map.shape[:2], (height, width)))
    places = np.meshgrid(rows, columns, indexing="ij")
    total = np.zeros(feature_map.shape[:2])
    for channel in np.moveaxis(feature_map, -1, 0):
        mask = scale(ndimage.map_coordinates(channel, places, order=1))
        masked = (pixels * mask[..., None] - mean) / std
        total += float(score_fn(jnp.asarray(masked[None], jnp.float32))[0, label]) * channel
    return scale(np.maximum(total, 0))


def assert_maps(page, maps, head, score_fn, feature_map):
    assert set(maps) == {"grad_cam", "grad_cam_pp", "score_cam"}
    for i, label in enumerate(page.labels.tolist()):
        a = np.asarray(feature_map[i], np.float64)
        g = gradient_of(head, feature_map[i], label)
        assert a.max() > 0
        np.testing.assert_allclose(maps["grad_cam"][i], grad_cam(a, g), atol=2e-5)
        np.testing.assert_allclose(maps["grad_cam_pp"][i], grad_cam_pp(a, g), atol=2e-4)
        if i < 2:  # a forward pass for each channel
            plain = score_cam(page, jax.jit(score_fn), a, page.images[i], label)
            np.testing.assert_allclose(maps["score_cam"][i], plain, atol=1e-4)
    for name, values in maps.items():
        assert values.shape == feature_map.shape[:3], name
        assert (values.max((1, 2)) > 0.99).sum() >= 4, f"{name}: most maps are not flat"


def score_fn_of(page):
    """Return the softmax of the Linen network, as it is without our package."""
    return lambda images: jax.nn.softmax(page.cnn.apply(page.variables, images))


def test_maps_of_the_linen_network(page):
    feature_map = page.cnn.apply(page.variables, page.images, method="features")[-1]
    assert_maps(page, page.maps, lambda last: page.head({"map3": last}), score_fn_of(page), feature_map)
    logits = page.cnn.apply(page.variables, page.images)
    np.testing.assert_allclose(page.network(page.images), logits, rtol=1e-5, atol=1e-6)


def test_maps_of_the_equinox_network(page):
    def score_fn(images):
        return jax.nn.softmax(page.net_head(page.net_features(images)))

    assert_maps(page, page.net_maps, page.net_head, score_fn, page.net_features(page.images))


def test_scores(page):
    """Average drop, gain and increase by their formulas, and insertion and deletion by a loop over steps."""
    assert set(page.scores) == set(page.maps)
    score_fn = jax.jit(score_fn_of(page))
    images, labels = np.asarray(page.images), page.labels.tolist()
    mean, std = np.array(page.MEAN), np.array(page.STD)
    i, size = 3, images.shape[1]

    def probability(image: np.ndarray) -> float:
        return float(score_fn(jnp.asarray(image[None], jnp.float32))[0, labels[i]])

    for name, found in page.scores.items():
        upsampled = jax.image.resize(page.maps[name][i], (size, size), "bilinear", antialias=False)
        saliency = np.asarray(upsampled)
        p = probability(images[i])
        o = probability(((images[i] * std + mean) * saliency[..., None] - mean) / std)
        expected = {
            "probability": p,
            "masked_probability": o,
            "average_drop": max(p - o, 0) / p,
            "average_gain": max(o - p, 0) / (1 - p),
            "average_increase": float(o > p),
        }
        for metric, value in expected.items():
            assert found[metric].shape == (len(images),)
            np.testing.assert_allclose(found[metric][i], value, atol=2e-5, err_msg=f"{name} {metric}")

        order = np.argsort(saliency.reshape(-1), kind="stable")[::-1]
        curve = []
        for step in range(size // 8 + 1):
            kept = np.ones(size * size, np.float32)
            kept[order[: step * 8 * size]] = 0
            curve.append(probability(images[i] * kept.reshape(size, size, 1)))
        np.testing.assert_allclose(found["deletion_curve"][i], curve, atol=1e-4)
        np.testing.assert_allclose(found["deletion"][i], np.trapezoid(curve) / (len(curve) - 1), atol=1e-4)
        np.testing.assert_allclose(found["insertion_curve"][i, -1], p, atol=1e-5)


def test_the_stream_learns_and_leaves_the_network_alone(page):
    assert len(page.losses) == 20
    assert page.losses[-1] < page.losses[0] - 0.2
    assert all(after < before for before, after in zip(page.losses, page.losses[1:]))
    fresh = page.cnn.init(jax.random.key(1), page.images)
    chex.assert_trees_all_equal(fresh, page.variables)


def test_maps_of_the_stream(page):
    """The attention by the paper's equations, in numpy; Grad-CAM from the gradient of the last block."""
    query = np.asarray(page.params["query"][...])
    queries = np.tile(query, (len(page.images), 1))
    for block, feature_map in enumerate(np.asarray(a, np.float64) for a in page.feature_maps):
        keys = feature_map.reshape(len(feature_map), -1, feature_map.shape[-1])
        scores = np.einsum("bnc,bc->bn", keys, queries) / np.sqrt(keys.shape[-1])
        attention = np.exp(scores - scores.max(1, keepdims=True))
        attention /= attention.sum(1, keepdims=True)
        projection = page.params["projections"][block]
        pooled = np.einsum("bnc,bn->bc", keys, attention)
        queries = pooled @ np.asarray(projection["kernel"][...]) + np.asarray(projection["bias"][...])
        np.testing.assert_allclose(page.attention[block].reshape(attention.shape), attention, atol=1e-5)
    logits = page.cnn.apply(page.variables, jnp.asarray(queries, jnp.float32), method="classify")
    np.testing.assert_allclose(page.logits, logits, atol=1e-4)

    last = page.feature_maps[-1]
    for i, label in enumerate(page.labels.tolist()):
        raw = scale(attention[i].reshape(last.shape[1:3]))
        np.testing.assert_allclose(scale(np.asarray(page.ca_maps["attention"][i])), raw, atol=1e-3)
        before = [a[i : i + 1] for a in page.feature_maps[:-1]]
        g = gradient_of(lambda a, before=before: page.pool(page.params, [*before, a])[0], last[i], label)
        plain = grad_cam(np.asarray(last[i], np.float64), g)
        np.testing.assert_allclose(page.ca_maps["grad_cam"][i], plain, atol=2e-4)
