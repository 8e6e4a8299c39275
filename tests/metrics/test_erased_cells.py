"""Single deletion, MuFidelity and infidelity: numpy and scipy on what a plain loop over sets of cells finds."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from castream_jax.metrics.cells import random_sets, single_cells
from castream_jax.metrics.mu_fidelity import draw_sets
from castream_jax.metrics.protocol import PROTOCOLS
from tests.goldens import assert_close
from tests.metrics.cases import COLUMNS, HEIGHT, IMAGES, READOUT, RNG, WIDTH, erase, measure, probabilities

pytestmark = pytest.mark.slow

SYMBOLS = ("SD", "MuF", "INFD")
ZEROS, ONES = np.zeros((HEIGHT, WIDTH)), np.full((HEIGHT, WIDTH), 0.3)
MAPS = np.stack([*RNG.random((3, HEIGHT, WIDTH)), ZEROS, ONES]).astype(np.float32)
OF = [1, 0, 1, 0, 1]


@pytest.fixture(scope="module")
def found() -> dict[str, np.ndarray]:
    return measure(SYMBOLS, MAPS, OF)[0]


def plain_sets(side: int, erased: np.ndarray) -> list[np.ndarray]:
    """Return the flat places of the pixels of each set of cells."""
    grid = np.arange(HEIGHT)[:, None] * side // HEIGHT * side + np.arange(WIDTH) * side // WIDTH
    return [np.flatnonzero(np.isin(grid, np.flatnonzero(cells))) for cells in erased]


def plain_sums_and_costs(j: int, side: int, erased: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a map's sum over each set [T], and what erasing it costs [T Q]."""
    sets, i = plain_sets(side, erased), OF[j]
    sums = np.array([MAPS[j].astype(np.float64).reshape(-1)[places].sum() for places in sets])
    without = probabilities(np.stack([erase(IMAGES[i], places) for places in sets]))[:, COLUMNS[i]]
    return sums, probabilities(IMAGES[i : i + 1])[0, COLUMNS[i]] - without


def test_single_deletion_is_scipy_s_spearman(found):
    for j in range(3):
        sums, costs = plain_sums_and_costs(j, 4, np.eye(16))
        expected = [scipy.stats.spearmanr(sums, costs[:, q]).statistic for q in range(2)]
        assert_close(found["single_deletion"][j], expected, absolute=1e-5)
    assert (found["single_deletion"] < 0).any()


def test_mu_fidelity_is_numpy_s_correlation_and_infidelity_the_best_multiple_s(found):
    erased = np.asarray(draw_sets().erased)
    for j in range(3):
        sums, costs = plain_sums_and_costs(j, 9, erased)
        for q in range(2):
            assert_close(found["mu_fidelity"][j, q], np.corrcoef(sums, costs[:, q])[0, 1], absolute=1e-4)
            (_,), (left,), *_ = np.linalg.lstsq(sums[:, None], costs[:, q], rcond=None)
            assert_close(found["infidelity"][j, q], left / (costs[:, q] ** 2).sum(), absolute=1e-4)


def test_flat_maps_are_not_defined_and_say_so(found):
    """Of ones, MuFidelity is: cells of 10 or 12 pixels over 9 differ."""
    for name, flat in (("single_deletion", [3]), ("mu_fidelity", [3])):
        np.testing.assert_array_equal(found[name][flat], 0)
        np.testing.assert_array_equal(found[f"{name}_undefined"][flat], 1)
        np.testing.assert_array_equal(found[f"{name}_undefined"][:3], 0)
    np.testing.assert_array_equal(found["infidelity"][3], 1)


def test_a_constant_map_over_equal_cells_is_flat_too():
    images = RNG.standard_normal((1, 36, 36, 3)).astype(np.float32)
    readout = RNG.standard_normal((36 * 36 * 3, 4)).astype(np.float32) / 60

    def score(images):
        import jax

        return jax.nn.softmax(images.reshape(len(images), -1) @ readout)

    maps = np.full((2, 36, 36), 0.7) + np.stack([np.zeros((36, 36)), 1e-3 * RNG.random((36, 36))])
    found = measure(("SD", "MuF"), maps, [0, 0], images=images, score=score)[0]
    for name in ("single_deletion", "mu_fidelity"):
        np.testing.assert_array_equal(found[f"{name}_undefined"], [[1, 1], [0, 0]])
        np.testing.assert_array_equal(found[name][0], 0)


def test_the_map_of_the_costs_is_perfect():
    """A linear score: what a pixel gives is its share, whatever else is erased; a multiple of it is as good."""
    scale = 40.0

    def score(images):
        import jax.numpy as jnp

        logits = jnp.einsum("nhwc,hwck->nk", images, jnp.asarray(READOUT, jnp.float32), precision="highest")
        return 0.5 + logits / scale  # no softmax: it stays in 0..1

    given = np.einsum("hwc,hwc->hw", IMAGES[0].astype(np.float64), READOUT[..., 3]) / scale
    positive = given - given.min()
    assert 0 < positive.max() < 1
    maps = np.stack([np.maximum(given, 0), positive / positive.max() / 2])
    columns = np.array([[3, 3]])
    found = measure(("SD", "MuF"), maps, [0, 0], images=IMAGES[:1], score=score, columns=columns)[0]
    assert found["mu_fidelity"][0, 0] > 0.5
    plain = [positive.reshape(-1)[places].sum() for places in plain_sets(9, np.asarray(draw_sets().erased))]
    costs = [given.reshape(-1)[places].sum() for places in plain_sets(9, np.asarray(draw_sets().erased))]
    assert_close(found["mu_fidelity"][1, 0], np.corrcoef(plain, costs)[0, 1], absolute=1e-4)
    # Pixels that take probability away are 0 in a map of 0..1; cells' sums of the shares themselves rank perfectly.
    only = measure(("SD",), np.maximum(given, 0)[None], [0], images=IMAGES[:1], score=score, columns=columns)[0]
    assert only["single_deletion"][0, 0] > 0.5


def test_sets_have_as_many_cells_each_and_never_change():
    sets = np.asarray(random_sets(9, 16, 200, 0).erased)
    np.testing.assert_array_equal(sets.sum(1), 16)
    assert 20 < sets.sum(0).min() < sets.sum(0).max() < 60
    assert len(np.unique(sets, axis=0)) == 200
    np.testing.assert_array_equal(sets, np.asarray(draw_sets().erased))
    np.testing.assert_array_equal(np.asarray(single_cells(2).erased), np.eye(4))


def test_what_is_erased_is_the_protocol_s():
    black = dataclasses.replace(PROTOCOLS["rise"], deletion_end="black")
    one, other = (measure(("MuF",), MAPS[:1], [0], protocol, IMAGES[:1])[0] for protocol in (PROTOCOLS["rise"], black))
    assert np.abs(one["mu_fidelity"] - other["mu_fidelity"]).max() > 1e-3


def test_the_passes_that_serve_all_maps_are_243():
    """At 28 steps: 16 cells, 200 sets, and 27 points of a random order, once for each image, under all poolings."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 28, 28, 3)).astype(np.float32)
    readout = rng.standard_normal((28 * 28 * 3, 4)).astype(np.float32) / 50

    def score(images):
        import jax

        return jax.nn.softmax(images.reshape(len(images), -1) @ readout)

    for maps in (1, 3):
        saliency, of = rng.random((2 * maps, 28, 28)), [0, 1] * maps
        asked = measure(("SD", "MuF", "INFD", "MRG", "LRG"), saliency, of, images=images, score=score)[1]
        own = {one.question.key: one.question.count for one in asked if one.question.share == "image"}
        assert own.pop(("images",)) == 2
        assert sum(own.values()) == 2 * 243
        assert sum(one.question.count for one in asked if one.question.share == "map") == 2 * maps * 2 * 27
