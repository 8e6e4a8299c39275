"""Rows of one class an image, of several classes of each: which belong together, and which answers are right."""

import numpy as np
import pyarrow as pa
import pytest

from castream_jax.evaluation.row_images import IMAGE_FIELD, count_pictures_of, find_right, number_images
from castream_jax.evaluation.rows import group_rows, read_rows, write_rows
from castream_jax.report.doubts import doubt
from castream_jax.report.intervals import bootstrap_table
from castream_jax.report.notes import describe_all, describe_source
from castream_jax.report.numbers import name_numbers
from castream_jax.report.selection import choose_images
from castream_jax.report.statistics import bootstrap_intervals
from tests.evaluation.synthetic import PAIRS, create_report, create_rows

OWNERS = [0, 0, 1, 2, 2]


@pytest.fixture
def several() -> pa.Table:
    """Return five rows a map, of three images."""
    rows = create_rows()
    places = [int(name.split()[1]) for name in rows["id"].to_pylist()]
    names = pa.array([f"picture {OWNERS[place]}" for place in places], pa.string())
    return rows.add_column(1, IMAGE_FIELD, names)


def test_images_are_numbered(several):
    assert number_images(several).tolist() == OWNERS
    assert count_pictures_of(several, 5) == 3
    assert number_images(create_rows()) is None
    assert count_pictures_of(create_rows(), 5) == 5


def test_any_class_of_the_image_is_right(several):
    """The rows' labels are 0 to 4, and one more is predicted each time."""
    group = next(iter(group_rows(several).values()))
    assert find_right(group).tolist() == [True, False, False, True, False]
    assert not find_right(next(iter(group_rows(create_rows()).values()))).any()
    wrong = next(each for each in choose_images(several, 2) if each.title == "Classified wrong")
    assert sorted(wrong.images) == [1, 2, 4]
    assert "also a class of which nobody can tell" in wrong.meaning
    assert not any("nobody can tell" in each.meaning for each in choose_images(create_rows(), 2))


def test_rows_keep_their_images_on_disk(several, tmp_path):
    write_rows(several, tmp_path / "rows.parquet")
    assert read_rows(tmp_path / "rows.parquet").equals(several)


def test_intervals_draw_images(several):
    found = bootstrap_table(several, 300, 0)
    (line,) = (line for line in found["intervals"] if (line["attribution"], line["pooling"]) == PAIRS[0])
    values = 100 * next(iter(group_rows(several).values()))["average_drop"].to_numpy().astype(float)[:, None]
    assert [tuple(line["AD"])] == bootstrap_intervals(values, 300, 0, np.array(OWNERS))
    assert {line["AD"]["images"] for line in found["differences"]} == {3}
    assert [tuple(line["AD"])] != bootstrap_intervals(values, 300, 0)


def test_a_report_says_what_is_counted(several):
    report = create_report(several, are_precisions=True)
    assert (report["num_images"], report["num_explained"]) == (3, 5)
    assert "5 classes of 3 images" in describe_source(report)
    text = " ".join(describe_all(report))
    assert "Mean average precision (%, 50,000 images): GAP 74.55; CA 74.70; CA, stream untrained 0.10." in text
    assert "bootstrap over images, each with all its classes, 200 resamples" in text
    assert report["accuracy"] == {}
    assert name_numbers(report)["mean_average_precision/ca"] == 74.699
    assert not any(name.startswith("accuracy") for name in name_numbers(report))
    assert doubt(several)[0].startswith("3 images are few")


def test_the_share_among_five_stands_beside():
    report = create_report(create_rows(), top5_accuracy={"gap": 92.0, "ca": 93.0})
    assert "CA, among five 93.00." in " ".join(describe_all(report))
    assert name_numbers(report)["top5_accuracy/gap"] == 92.0
