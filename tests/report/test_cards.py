"""What a report shows of each selected image: the numbers of its rows, why it is there, and small pictures."""

import numpy as np
import pytest

from castream_jax.report.cards import build_cases, build_index
from tests.evaluation.synthetic import create_rows, create_selection


@pytest.fixture
def cases(rows):
    return build_cases(create_selection(rows), rows)


def test_a_case_has_the_numbers_of_its_rows(rows, cases):
    records = {(r["id"], r["attribution"], r["pooling"]): r for r in rows.to_pylist()}
    for case in cases:
        cards = [card for group in case.groups.values() for card in group]
        assert len(cards) == 7
        assert [card.pooling for card in case.groups["Grad-CAM"]] == ["GAP", "CA"]
        expected = records[case.id, "grad_cam", "ca"]
        shown = dict((metric.column, text) for metric, text in case.groups["Grad-CAM"][1].numbers)
        assert shown["average_drop"] == f"{100 * expected['average_drop']:.1f}"
        assert case.label == f"class {expected['label']}"
        assert [(answer.pooling, answer.is_right) for answer in case.answers] == [("GAP", False), ("CA", False)]
    assert cases[0].groups["Grad-CAM"][1].odd == ["nothing positive for this class", "flat"]


def test_each_category_is_printed_once_and_every_image_says_why_it_is_there(cases):
    printed = [title for case in cases for title in case.samples]
    assert len(printed) == len(set(printed)) == 6
    assert all(case.reasons for case in cases)


def test_the_index_orders_what_the_cards_show(rows, cases):
    index = build_index(create_selection(rows), rows)
    assert index["maps"][:3] == ["Mean over maps", "Grad-CAM, GAP", "Grad-CAM, CA"]
    for i, case in enumerate(cases):
        shown = [float(card.numbers[0][1]) for group in case.groups.values() for card in group]
        np.testing.assert_allclose([values["AD"][i] for values in index["values"][1:]], shown, atol=0.06)
        assert index["values"][0]["AD"][i] == pytest.approx(np.mean(shown), abs=0.06)
    assert all(0 <= number < len(cases) for category in index["categories"] for number in category["cases"])


def test_pictures_are_small(cases):
    for case in cases:
        assert case.picture.startswith("data:image/jpeg;base64,")
        assert all(len(card.picture) < 20_000 for group in case.groups.values() for card in group)


def test_an_answer_that_is_none():
    rows = create_rows(predicted_class=-1)
    case = build_cases(create_selection(rows), rows)[0]
    assert {(answer.name, answer.is_right) for answer in case.answers} == {("not a number", False)}
