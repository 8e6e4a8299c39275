"""The images that a report shows: chosen by their rows alone, ties to the earlier one."""

import numpy as np
import pyarrow as pa

from castream_jax.evaluation.shown_images import ShownImages
from castream_jax.report.selection import IMAGES_PER_CATEGORY, choose_images, lay_out
from tests.evaluation.synthetic import NULL_PAIRS, PAIRS, ROWS, create_rows

BOTH = (("grad_cam", "gap"), ("grad_cam", "ca"))


def rows_of(images, pairs=BOTH, **columns):
    """Return rows whose `columns` are given for each pair and image, [[image 0, image 1, ...] of pair 0, ...]."""
    plain = {"flat": False, "nan": False, "all_negative": False, "average_drop": 0.5, "average_gain": 0.0}
    records = create_rows(pairs, images, **plain).to_pylist()
    for i, record in enumerate(records):
        record["predicted_class"] = record["label"]
        for name, values in columns.items():
            record[name] = values[i % len(pairs)][i // len(pairs)]
    return pa.Table.from_pylist(records, schema=ROWS)


def chosen(rows, first=2):
    return {category.title: category.images for category in choose_images(rows, first)}


def test_worst_and_best_are_of_the_mean_over_maps():
    drops = [[0.1, 0.9, 0.0, 0.4], [0.3, 0.5, 0.0, 0.4]]
    found = chosen(rows_of(4, average_drop=drops))
    assert list(found["Highest average drop"]) == [1, 3, 0, 2]
    assert list(found["Lowest average drop"]) == [2, 0, 3, 1]
    assert found["Highest average drop"][1] == "mean AD 70.00"
    assert list(found["First images"]) == [0, 1]


def test_equal_drops_go_by_gain_and_then_by_place():
    gains = [[0.1, 0.5, 0.1], [0.1, 0.5, 0.1]]
    found = chosen(rows_of(3, average_drop=np.zeros((2, 3)), average_gain=gains))
    assert list(found["Lowest average drop"]) == [1, 0, 2]
    assert list(found["Highest average drop"]) == [0, 1, 2]


def test_no_more_than_a_handful_of_each():
    found = chosen(create_rows(images=40), first=4)
    assert {title: len(images) for title, images in found.items()} == {
        "First images": 4,
        "Highest average drop": IMAGES_PER_CATEGORY,
        "Lowest average drop": IMAGES_PER_CATEGORY,
        "GAP and CA disagree": IMAGES_PER_CATEGORY,
        "Classified wrong": IMAGES_PER_CATEGORY,
        "Failed maps": 2,
    }


def test_disagreement_is_of_the_size_of_the_difference():
    pairs = (*BOTH, ("score_cam", "gap"), ("score_cam", "ca"), ("attention", "ca"))
    drops = [[0.5, 0.0], [0.1, 0.1], [0.1, 0.0], [0.5, 0.1], [0.0, 1.0]]  # differences cancel in the first image
    found = chosen(rows_of(2, pairs, average_drop=drops))["GAP and CA disagree"]
    assert list(found) == [0, 1]
    assert found[0] == "AD differs by 40.00; Grad-CAM: CA -40.00"
    alone = rows_of(2, BOTH[:1], average_drop=drops[:1])
    assert "GAP and CA disagree" not in chosen(alone)


def test_wrong_for_both_comes_before_surely_wrong_for_one():
    labels = [0, 1, 2, 3]
    answers = [[1, 0, 2, 0], [0, 0, 2, 3]]  # GAP is wrong on 0, 1, 3, CA on 1
    probability = [[0.4, 0.3, 0.9, 0.1], [0.8, 0.3, 0.9, 0.9]]
    explained = [labels, labels]
    found = chosen(rows_of(4, predicted_class=answers, probability=probability, explained_class=explained))
    assert found["Classified wrong"] == {1: "GAP, CA", 3: "GAP", 0: "GAP"}
    # Of the predicted class, the surer answer comes first.
    found = chosen(rows_of(4, predicted_class=answers, probability=probability, explained_class=answers))
    assert list(found["Classified wrong"]) == [1, 0, 3]


def test_failed_maps_are_named():
    none = [False] * 3
    found = chosen(rows_of(3, flat=[[False, True, True], none], nan=[none, [False, False, True]]))
    assert found["Failed maps"] == {2: "Grad-CAM GAP: flat; Grad-CAM CA: not a number", 1: "Grad-CAM GAP: flat"}


def test_numbers_that_are_none_are_never_best_or_worst():
    nan = float("nan")
    found = chosen(rows_of(2, average_drop=[[nan, 0.2], [0.1, 0.2]], average_gain=[[nan, 0.0], [0.0, 0.0]]))
    for title in ("Highest average drop", "Lowest average drop", "GAP and CA disagree"):
        assert list(found[title]) == [1]


def test_null_maps_count_for_nothing():
    rows = create_rows((*BOTH, *NULL_PAIRS), images=8)
    known = rows.filter(pa.compute.equal(rows["attribution"], "grad_cam"))
    assert chosen(rows) == chosen(known)


def test_images_stand_beside_their_own_rows():
    """Places 1 and 2 are of images that nothing shows."""
    pairs = (*PAIRS, *NULL_PAIRS)
    maps = {pair: np.zeros((3, 2, 2), np.float32) for pair in PAIRS}
    shown = ShownImages((0, 3, 4), np.zeros((3, 8, 8, 3), np.uint8), maps)
    names = tuple(f"class {i}" for i in range(30))
    selection = lay_out([], shown, create_rows(pairs, images=6), names)
    assert selection.places == (0, 3, 4)
    assert selection.class_names == names
    assert selection.heat_maps.ids == ("image 0", "image 3", "image 4")
    assert selection.heat_maps.titles[1] == "class 3 (GAP: class 4, CA: class 4)"
    assert list(selection.heat_maps.remarks) == list(PAIRS)
    assert selection.heat_maps.remarks["grad_cam", "ca"] == ("nothing positive for this class", "", "")
    assert selection.heat_maps.remarks["score_cam", "gap"] == ("not a number", "", "")


def test_nothing_to_show():
    nothing = lay_out([], ShownImages((), np.zeros((0, 1, 1, 3), np.uint8), {}), create_rows(PAIRS), ())
    assert nothing.heat_maps.ids == ()
    assert nothing.heat_maps.maps == {}
