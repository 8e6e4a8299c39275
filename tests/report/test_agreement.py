"""How far metrics agree, against scipy's tau-b, and alpha by its definition over all pairs."""

from itertools import combinations, product

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import kendalltau, rankdata

from castream_jax.report.agreement import correlate, find_alpha, find_least, measure_agreement, order
from castream_jax.report.html import render_html
from castream_jax.report.text import render_markdown, render_terminal
from tests.evaluation.synthetic import NULL_PAIRS, PAIRS, ROWS, create_localised_rows, create_report, create_rows

METHODS = 4


@pytest.fixture
def values():
    """Return the numbers of two metrics on images, with ties."""
    drawn = np.random.default_rng(0).integers(0, 5, (2, 30, METHODS)).astype(float)
    drawn[0, 0] = 3.0  # this image ranks nothing
    return drawn


def test_tau_is_that_of_scipy_averaged_over_images(values):
    expected = np.nanmean([kendalltau(a, b).statistic for a, b in zip(*values)])
    np.testing.assert_allclose(correlate(*map(order, values)), expected, rtol=1e-12)
    np.testing.assert_allclose(correlate(order(values[0]), order(-values[0])), -1)
    assert correlate(order(values[0][:1]), order(values[1][:1])) is None


def test_an_image_that_lacks_a_number_is_left_out(values):
    absent = values.copy()
    absent[1, 3, 2] = np.nan
    rest = np.delete(values, 3, axis=1)
    assert correlate(*map(order, absent)) == correlate(*map(order, rest))
    assert find_alpha(absent[1]) == find_alpha(rest[1])


def test_alpha_is_what_its_definition_gives(values):
    ranks = np.stack([rankdata(image) for image in values[1]])
    images, total = len(ranks), ranks.size
    within = sum((a[m] - b[m]) ** 2 for m in range(METHODS) for a, b in product(ranks, ranks)) / (images - 1) / total
    overall = sum(2 * (a - b) ** 2 for a, b in combinations(ranks.reshape(-1), 2)) / total / (total - 1)
    np.testing.assert_allclose(find_alpha(values[1]), 1 - within / overall, rtol=1e-12)


def test_alpha_of_images_that_rank_alike_and_of_noise():
    alike = np.arange(METHODS) * np.linspace(1, 2, 20)[:, None]
    np.testing.assert_allclose(find_alpha(alike), 1)
    assert abs(find_alpha(np.random.default_rng(0).uniform(size=(5000, METHODS)))) < 0.01
    assert find_alpha(alike[:1]) is None
    assert find_alpha(np.ones((20, METHODS))) is None


def test_rows_are_ranked_within_each_pooling_and_the_better_way_round():
    rows = create_rows(images=20).to_pylist()
    for row in rows:  # AD falls where AG rises, which is the same order
        row["average_gain"] = 1 - row["average_drop"]
        row["insertion"] = row["average_drop"] + (row["pooling"] == "ca")
    found = measure_agreement(pa.Table.from_pylist(rows, schema=ROWS))
    assert found["methods"] == METHODS  # under CA, with raw attention
    for over in ("over_images", "over_methods"):
        np.testing.assert_allclose([found[over]["AD"]["AG"], found[over]["I"]["AD"]], [1, -1])
    assert find_least(found)[2] == pytest.approx(-1)
    assert found["alpha"]["AD"] == found["alpha"]["AG"]


def test_null_maps_and_what_only_some_images_have():
    with_null = create_localised_rows((*PAIRS, *NULL_PAIRS), images=6, masks=3)
    own = [row for row in with_null.to_pylist() if row["attribution"] not in ("random", "gaussian", "constant", "fake")]
    found = measure_agreement(with_null)
    assert found == measure_agreement(pa.Table.from_pylist(own, schema=ROWS))
    assert "PG" in found["alpha"]


@pytest.mark.parametrize("pairs", [PAIRS[:2], (*PAIRS[:4], ("attention", "ca"))])
def test_two_methods_are_too_few(pairs):
    found = measure_agreement(create_rows(pairs, 20))
    assert (found is None) == (len(pairs) == 2)


def test_reports_show_it():
    rows = create_rows(images=20)
    report = create_report(rows)
    taus, alpha = report["agreement"]["over_images"], report["agreement"]["alpha"]
    markdown, page = render_markdown(report), render_html(report, rows, [])
    assert f"| {taus['AD']['AG']:z.2f} ({report['agreement']['over_methods']['AD']['AG']:z.2f}) |" in markdown
    assert '<section id="agreement">' in page
    assert f"AD {alpha['AD']:z.2f}, AG {alpha['AG']:z.2f}" in render_terminal(report).replace("\n  ", " ")
    few = create_rows(PAIRS[:2], 20)
    assert "agree" not in render_markdown(create_report(few))
    assert 'id="agreement"' not in render_html(create_report(few), few, [])
