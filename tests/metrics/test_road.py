"""ROAD: what is filled in is scipy's exact solution of the linear system, and the numbers those of a plain loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.sparse
import scipy.sparse.linalg

from castream_jax.metrics.imputation import STEPS, impute
from castream_jax.metrics.road import NOISE, SEED
from tests.goldens import assert_close
from tests.metrics.cases import COLUMNS, HEIGHT, IMAGES, PIXELS, RNG, WIDTH, descending, measure, probabilities
from tests.networks import MEAN, STD

pytestmark = pytest.mark.slow

NEIGHBOURS = {(r, c): 1 / 6 if 0 in (r, c) else 1 / 12 for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)}


def exact(image: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return an image with its missing pixels solved for, in float64."""
    height, width = missing.shape
    number = np.full(missing.shape, -1)
    number[missing] = np.arange(missing.sum())
    a = scipy.sparse.lil_matrix((missing.sum(),) * 2)
    b = np.zeros((missing.sum(), image.shape[-1]))
    for y, x in zip(*np.nonzero(missing), strict=True):
        i = number[y, x]
        for (rows, columns), weight in NEIGHBOURS.items():
            r, c = y + rows, x + columns
            if 0 <= r < height and 0 <= c < width:
                a[i, i] += weight
                if missing[r, c]:
                    a[i, number[r, c]] -= weight
                else:
                    b[i] += weight * image[r, c]
    found = image.astype(np.float64)
    found[missing] = scipy.sparse.linalg.spsolve(a.tocsc(), b).reshape(b.shape)
    return found


def test_filled_in_pixels_are_the_exact_solution():
    """Most salient and least salient first of a coarse map, and scattered ones; sides that do not divide."""
    size = (75, 52)
    saliency = scipy.ndimage.zoom(RNG.random((5, 4)), (15, 13), order=1)
    ranks = [np.argsort(np.argsort(values.reshape(-1))).reshape(size) for values in (saliency, -saliency)]
    ranks.append(RNG.permutation(saliency.size).reshape(size))
    missing = np.stack([rank < share * saliency.size for rank in ranks for share in (0.1, 0.5, 0.9)])
    images = RNG.random((len(missing), *size, 2)).astype(np.float32)
    found = np.asarray(jax.jit(impute)(jnp.asarray(images), jnp.asarray(missing)))
    np.testing.assert_array_equal(found[~missing], images[~missing])
    expected = np.stack([exact(image, gone) for image, gone in zip(images, missing, strict=True)])
    assert np.abs(found - expected).max() < 1e-4


def test_few_steps_do_at_224_pixels():
    """The largest hole; 7x7 cells, as maps have. Plain conjugate gradients need some 400 steps for 0.005."""
    saliency = scipy.ndimage.zoom(RNG.random((7, 7)), 32, order=1)
    missing = np.argsort(np.argsort(saliency.reshape(-1))).reshape(224, 224) < 0.9 * 224**2
    image = scipy.ndimage.gaussian_filter(RNG.random((224, 224, 1)), (3, 3, 0))
    image = ((image - image.min()) / np.ptp(image)).astype(np.float32)
    expected = exact(image, missing)
    run = jax.jit(impute, static_argnums=2)
    errors = [
        np.abs(run(jnp.asarray(image[None]), jnp.asarray(missing[None]), n)[0] - expected).max() for n in (2, STEPS)
    ]
    assert errors[0] > 1e-3  # it has something to do
    assert errors[1] < 3e-4  # a thirtieth of the noise; float32 gives no more here


@pytest.mark.parametrize("size", [(3, 5), (1, 6), (4, 4)])
def test_small_images(size):
    image, missing = RNG.random((*size, 3)).astype(np.float32), RNG.random(size) < 0.6
    missing[0, 0], missing[0, 1] = False, True
    found = impute(jnp.asarray(image[None]), jnp.asarray(missing[None]))[0]
    assert_close(found, exact(image, missing), absolute=1e-4)


def test_what_stands_in_a_hole_is_not_read_and_a_constant_stays():
    missing = jnp.asarray(RNG.random((2, 9, 8)) < 0.7)
    images = jnp.where(missing[..., None], jnp.asarray([7.0, jnp.nan]).reshape(2, 1, 1, 1), 0.3)
    assert_close(impute(images, missing), np.full((2, 9, 8, 1), 0.3), absolute=1e-5)


MAPS = np.stack([*RNG.integers(0, 9, (2, HEIGHT, WIDTH)) / 8, np.ones((HEIGHT, WIDTH))]).astype(np.float32)
OF = [0, 1, 1]


@functools.cache
def found() -> dict[str, np.ndarray]:
    return measure(("ROAD", "MoRF", "LeRF"), MAPS, OF)[0]


def plain_points(j: int, order: np.ndarray) -> np.ndarray:
    """Return the probability of both classes after each tenth of the pixels is filled in, from none on, [10 Q]."""
    noise, images = NOISE * np.asarray(jax.random.normal(jax.random.key(SEED), (HEIGHT, WIDTH, 3))), [IMAGES[OF[j]]]
    for tenth in range(1, 10):
        missing = np.zeros(HEIGHT * WIDTH, bool)
        missing[order[: HEIGHT * WIDTH * tenth // 10]] = True
        missing = missing.reshape(HEIGHT, WIDTH)
        filled = (exact(PIXELS[OF[j]], missing) + noise - MEAN) / STD
        images.append(np.where(missing[..., None], filled, IMAGES[OF[j]]))
    return probabilities(np.stack(images))[:, COLUMNS[OF[j]]]


def test_numbers_and_curves_are_the_plain_loop_s():
    for j, saliency in enumerate(MAPS):
        most, least = (plain_points(j, order) for order in (descending(saliency), descending(saliency)[::-1]))
        assert_close(found()["road_most_first_curve"][j], most.T, absolute=2e-4)
        assert_close(found()["road_least_first_curve"][j], least.T, absolute=2e-4)
        assert_close(found()["road"][j], (least - most)[1:].mean(0), absolute=2e-4)
        assert_close(found()["road_most_first"][j], np.trapezoid(most, dx=1 / 9, axis=0), absolute=2e-4)


def test_it_does_not_depend_on_the_batch():
    alone = measure(("ROAD",), MAPS[:1], OF[:1], images=IMAGES[:1])[0]
    assert_close(alone["road"][0], found()["road"][0], absolute=1e-5)


def test_both_orders_are_asked_once_for_all_three():
    asked = measure(("ROAD", "MoRF", "LeRF"), MAPS, OF)[1]
    assert sum(one.question.count for one in asked if one.question.share == "map") == len(MAPS) * 2 * 9
