"""Intervals of means: those of scipy, of the normal approximation, and of simulated truth."""

import numpy as np
import pytest
import scipy.stats

from castream_jax.report import statistics
from castream_jax.report.statistics import (
    bootstrap,
    bootstrap_intervals,
    count_draws,
    find_p_values,
    resample_means,
    survive_holm,
)


def draw(images=200, columns=3, seed=0):
    """Return skewed values, like those of the metrics."""
    return 100 * np.random.default_rng(seed).beta(0.5, 1.5, (images, columns))


def test_intervals_are_those_of_scipy():
    values = draw()
    found = bootstrap_intervals(values, 20_000, 0)
    for column, interval in zip(values.T, found, strict=True):
        expected = scipy.stats.bootstrap(
            (column,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1), batch=2_000
        ).confidence_interval
        # The ends of either are random: their standard error is about 1 % of the width at 20,000 resamples.
        np.testing.assert_allclose(interval, expected, atol=0.05 * (expected.high - expected.low))


def test_a_column_of_differences_is_scipys_paired_bootstrap():
    values = draw(columns=2)
    values[:, 1] = 0.9 * values[:, 0] + 0.1 * values[:, 1]  # far narrower than two separate means would tell
    expected = scipy.stats.bootstrap(
        (values[:, 0], values[:, 1]),
        lambda a, b, axis: np.mean(b, axis=axis) - np.mean(a, axis=axis),
        n_resamples=20_000,
        method="percentile",
        paired=True,
        vectorized=True,
        rng=np.random.default_rng(1),
        batch=2_000,
    ).confidence_interval
    (interval,) = bootstrap_intervals(values[:, 1:] - values[:, :1], 20_000, 0)
    np.testing.assert_allclose(interval, expected, atol=0.05 * (expected.high - expected.low))


def test_every_column_sees_the_same_images():
    values = draw(columns=2)
    means = resample_means(np.c_[values, values[:, 1] - values[:, 0]], 500, 0)
    np.testing.assert_allclose(means[:, 2], means[:, 1] - means[:, 0], atol=1e-10)


def test_of_many_images_they_are_the_normal_approximation():
    values = draw(images=20_000, columns=2)
    for column, (low, high) in zip(values.T, bootstrap_intervals(values, 4_000, 0), strict=True):
        error = 1.959964 * column.std() / np.sqrt(len(column))
        np.testing.assert_allclose([low, high], [column.mean() - error, column.mean() + error], atol=0.08 * error)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    experiments, truth = 2_000, 25.0  # the mean of beta(0.5, 1.5), times 100
    found = np.array(bootstrap_intervals(draw(images=100, columns=experiments), 1_000, 0))
    coverage = np.mean((found[:, 0] <= truth) & (truth <= found[:, 1]))
    assert 0.92 <= coverage <= 0.965  # somewhat too narrow of a hundred skewed values, as known of this bootstrap


def test_a_seed_gives_the_same_draws_for_ever():
    """Recorded once: what is printed today can be printed again with another numpy."""
    generator = np.random.PCG64(0)
    counts = count_draws(generator, 7, 3).astype(int)
    assert counts.tolist() == [[2, 1, 1, 1, 1, 1, 0], [0, 1, 0, 1, 2, 2, 1], [1, 1, 0, 2, 1, 1, 1]]
    assert bootstrap_intervals(draw(), 300, 5) == bootstrap_intervals(draw(), 300, 5)
    assert bootstrap_intervals(draw(), 300, 5) != bootstrap_intervals(draw(), 300, 6)


def test_draws_are_uniform_and_as_many_as_images():
    for images in (1, 2, 5, 1000):
        counts = np.stack([count_draws(np.random.PCG64(seed), images, 1)[0] for seed in range(50)])
        assert (counts.sum(axis=1) == images).all()
    # Counts of one image over resamples are binomial, nearly Poisson: mean 1 and variance 1.
    assert counts.var(axis=0, ddof=1).mean() == pytest.approx(1, abs=0.02)
    assert scipy.stats.chisquare(counts.sum(axis=0)).pvalue > 1e-3


def test_memory_is_bounded_and_chunks_do_not_show(monkeypatch):
    values = draw(images=50)
    whole = resample_means(values, 200, 0)
    monkeypatch.setattr(statistics, "_CHUNK", 7 * 50)
    np.testing.assert_allclose(resample_means(values, 200, 0), whole, rtol=1e-13)


@pytest.mark.parametrize("owners", [None, np.arange(60) // 2], ids=["images", "classes of images"])
def test_blocks_of_columns_do_not_show(monkeypatch, owners):
    values = draw(images=60, columns=320)
    values[5, 200] = np.nan
    whole = bootstrap(values, 400, 3, owners)
    monkeypatch.setattr(statistics, "_HELD", 400 * 130)
    held = []
    reduce = statistics.find_intervals
    monkeypatch.setattr(statistics, "find_intervals", lambda means: held.append(means.size) or reduce(means))
    assert bootstrap(values, 400, 3, owners) == whole
    assert held == [400 * 128, 400 * 128, 400 * 64]


def test_images_without_a_value_are_left_out_of_its_mean():
    values = draw(images=40)
    values[10:, 1] = np.nan
    means = resample_means(values, 50, 0)
    generator = np.random.PCG64(0)
    for mean in means:
        counts = count_draws(generator, 40, 1)[0]
        np.testing.assert_allclose(mean[1], np.average(values[:10, 1], weights=counts[:10]))
        np.testing.assert_allclose(mean[0], np.average(values[:, 0], weights=counts))


def test_there_is_no_interval_of_nothing_or_of_one():
    nan = np.nan
    values = np.array([[1.0, nan, nan], [3.0, nan, 2.0]])
    interval, *others = bootstrap_intervals(values, 100, 0)
    assert interval == (1.0, 3.0)
    assert others == [None, None]
    assert bootstrap_intervals(values[:1], 100, 0) == [None] * 3
    assert bootstrap_intervals(values[:0], 100, 0) == [None] * 3
    assert bootstrap_intervals(np.zeros((0, 0)), 100, 0) == []


def test_equal_values_have_an_interval_without_width():
    ((low, high),) = bootstrap_intervals(np.full((30, 1), 12.5), 200, 0)
    assert (low, high) == (12.5, 12.5)


def test_p_values_are_of_the_shares_on_either_side():
    means = np.stack([np.linspace(1, 2, 999), np.linspace(-1, 1, 999), np.zeros(999), np.full(999, np.nan)], axis=1)
    positive, even, nothing, absent = find_p_values(means)
    assert positive == 2 / 1000
    assert even == nothing == 1.0
    assert absent is None


def test_holms_correction_is_that_of_statsmodels():
    """Recorded: `multipletests(p, 0.05, method="holm")` of statsmodels 0.15.0."""
    assert survive_holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert survive_holm([0.01, None, 0.02]) == [True, False, True]
    assert survive_holm([0.03, 0.04]) == [False, False]
    assert survive_holm([]) == []


def test_images_of_one_row_are_as_ever():
    values = draw(40)
    values[::7, 1] = np.nan
    np.testing.assert_array_equal(resample_means(values, 60, 3, np.arange(40)), resample_means(values, 60, 3))


def test_an_image_is_drawn_with_all_its_rows():
    values = draw(9)
    values[4, 0] = np.nan
    owners = np.array([0, 0, 0, 1, 2, 2, 3, 4, 4])
    means = resample_means(values, 50, 1, owners)
    generator = np.random.PCG64(1)
    for found in means:
        counts = count_draws(generator, 5, 1)[0].astype(int)
        drawn = np.concatenate([np.flatnonzero(np.repeat(owners == image, 1)) for image in np.repeat(range(5), counts)])
        np.testing.assert_allclose(found, np.nanmean(values[drawn], 0), rtol=1e-12)


def test_rows_that_are_copies_tell_nothing_new():
    values = draw(50, columns=1)
    copied, owners = np.repeat(values, 4, 0), np.repeat(np.arange(50), 4)
    np.testing.assert_allclose(
        bootstrap_intervals(copied, 400, 0, owners), bootstrap_intervals(values, 400, 0), rtol=1e-12
    )
    ((low, high),) = bootstrap_intervals(copied, 400, 0)
    ((lowest, highest),) = bootstrap_intervals(values, 400, 0)
    assert high - low < 0.7 * (highest - lowest)  # as if they were 200 images
    assert bootstrap_intervals(copied[:4], 100, 0, owners[:4]) == [None]
