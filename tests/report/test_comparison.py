"""The command that compares two evaluations: what it prints, and how it ends after a mistake."""

import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from castream_jax.cli.compare import main
from castream_jax.evaluation.rows import group_rows, read_rows, summarise, write_rows
from castream_jax.metrics.protocol import PROTOCOLS
from castream_jax.report.statistics import bootstrap_intervals
from tests.evaluation.synthetic import NULL_PAIRS, PAIRS, ROWS, create_localised_rows, create_rows
from tests.report.test_pairing import change, write

pytestmark = pytest.mark.slow


@pytest.fixture
def directories(tmp_path):
    """Return two evaluations of 40 images; the average drop of the second one is far better."""
    rows = create_rows(images=40)
    better = change(rows, lambda record: record.update(average_drop=record["average_drop"] / 2))
    return write(tmp_path / "a", rows), write(tmp_path / "b", better, network="another")


def shown(directories, capsys, *options):
    """Return what the command prints."""
    main(["compare", *map(str, directories), *options])
    return capsys.readouterr().out


def test_it_prints_both_means_and_the_paired_interval(directories, capsys):
    text = shown(directories, capsys, "--resamples=300", "--seed", "5")
    lines = [line.split() for line in text.splitlines() if re.search(r"\d\.\d\d, ", line)]
    assert len(lines) == 5 * len(PAIRS)
    rows = create_rows(images=40)
    drop = 100 * group_rows(rows)["grad_cam", "gap"]["average_drop"].to_numpy().astype(float)
    places = np.argsort([f"image {i}" for i in range(40)])  # images in the order of their ids
    ((low, high),) = bootstrap_intervals(-drop[places, None] / 2, 300, 5)
    mean = summarise(rows)[0]["AD"]
    assert lines[0] == [
        *("Grad-CAM", "GAP", "AD", "↓", f"{mean:.2f}", f"{mean / 2:.2f}", f"{-mean / 2:+.2f}"),
        *(f"[{low:.2f},", f"{high:.2f}]", "*"),
    ]
    assert lines[1][2:] == f"{summarise(rows)[0]['AG']:.2f} {summarise(rows)[0]['AG']:.2f} 0.00 [0.00, 0.00]".split()
    assert "40 images in common, of 40 in A and 40 in B" in text
    assert "300 resamples, seed 5" in text
    for part in ("resnet50 on", "another on", PROTOCOLS["castream"].hash, str(directories[0])):
        assert part in text


def test_of_few_images_nothing_is_marked(directories, tmp_path, capsys):
    marks = r"\] \*$"
    few = [
        write(tmp_path / f"few {i}", read_rows(path / "rows.parquet").slice(0, 19 * len(PAIRS)))
        for i, path in enumerate(directories)
    ]
    text = shown(few, capsys, "--resamples=100")
    assert not re.search(marks, text, re.MULTILINE)
    assert "* the interval excludes 0, of 20 images or more." in text
    assert re.search(marks, shown(directories, capsys, "--resamples=100"), re.MULTILINE)


def test_it_fits_120_columns(tmp_path, capsys):
    rows = create_localised_rows((*NULL_PAIRS, *PAIRS, ("attention_scores", "ca")), masks=4)
    a, b = write(tmp_path / "a", rows), write(tmp_path / "b", rows.slice(0, 16 * 3))
    text = shown((a / "rows.parquet", b), capsys, "--resamples", "100")
    table = [line for line in text.splitlines() if not line.startswith(("A  ", "B  "))]
    assert max(map(len, table)) <= 120
    assert "means of the 3 images in common, of 5 in A and 3 in B" in text
    assert text.index("Raw attention (scores)") < text.index("Random")
    assert "Images" not in text


def test_what_only_one_has_is_named(tmp_path, capsys):
    directories = write(tmp_path / "a", create_rows()), write(tmp_path / "b", create_rows(PAIRS[:2]))
    text = shown(directories, capsys, "--resamples", "100")
    assert "Only in A: grad_cam_pp/gap, grad_cam_pp/ca, score_cam/gap, score_cam/ca, attention/ca." in text
    assert "Only in B" not in text


def test_a_number_that_is_none_is_a_dash(tmp_path, capsys):
    rows = create_rows(insertion=float("nan"))
    directories = write(tmp_path / "a", rows), write(tmp_path / "b", rows)
    text = shown(directories, capsys, "--resamples", "100")
    assert "nan" not in text
    assert re.search(r"I ↑ +— +— +—$", text, re.MULTILINE)


def test_settings_that_differ_are_told(tmp_path, capsys):
    rows = create_rows()
    a = write(tmp_path / "a", rows, settings={"image_size": 224, "target": "branch", "chunk": 64})
    b = write(tmp_path / "b", rows, settings={"image_size": 224, "target": "stage4", "chunk": 64})
    text = shown((a, b), capsys, "--resamples", "100")
    assert "Settings: target branch in A, stage4 in B." in text
    assert "Settings" not in shown((a, a), capsys, "--resamples", "100")


def test_metrics_against_another_truth_are_left_out(tmp_path, capsys):
    rows = create_localised_rows()
    a, b = (write(tmp_path / by, rows, settings={"image_size": 224, "truth": by}) for by in ("boxes", "masks"))
    text = shown((a, b), capsys, "--resamples", "100")
    assert "Settings: truth boxes in A, masks in B." in text
    assert "by other choices: PG (another truth), EPG (another truth)," in text
    assert not re.search("PG ↑", text)
    old = write(tmp_path / "old", rows, settings={"image_size": 224})
    text = shown((old, b), capsys, "--resamples", "100")
    assert "Settings: truth not said in A, masks in B." in text
    assert re.search("PG ↑", text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["A"], "arguments are required: B"),
        (["A", "B", "C"], "unrecognized arguments: C"),
        (["A", "B", "--resamples=few"], "--resamples: invalid int value: 'few'"),
        (["A", "B", "--resamples=99"], "--resamples 99: expected at least 100"),
        (["A", "B", "--seed=-1"], "--seed -1: expected 0 or more"),
        (["A", "nowhere"], "there is no nowhere"),
    ],
)
def test_mistakes_end_with_code_2_and_one_message(arguments, said, directories, capsys):
    paths = dict(zip("AB", map(str, directories)))
    with pytest.raises(SystemExit) as ended:
        main(["compare", *(paths.get(argument, argument) for argument in arguments)])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.startswith("error: ")
    assert printed.out == ""


def test_as_a_user_runs_it(directories, tmp_path):
    module = [sys.executable, "-W", "error", "-m", "castream_jax.report.comparison"]
    good = subprocess.run([*module, *map(str, directories)], capture_output=True, text=True, check=True)
    assert "10,000 resamples, seed 0" in good.stdout
    assert good.stderr == ""
    rise = write(tmp_path / "rise", create_rows(), protocol=PROTOCOLS["rise"])
    bad = subprocess.run([*module, str(directories[0]), str(rise)], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert bad.stderr.startswith("error: the protocols differ")
    assert len(bad.stderr.splitlines()) == 1


def test_evaluations_whose_cells_lack_images_are_compared_on_the_others(tmp_path, capsys):
    rows = create_rows(PAIRS[:2], images=4)
    a = write(tmp_path / "a", rows)
    kept = [record for record in rows.to_pylist() if record["id"] != "image 0" or record["pooling"] == "ca"]
    b = write(tmp_path / "b", rows)
    write_rows(pa.Table.from_pylist(kept, schema=ROWS), b / "rows.parquet")
    assert "means of the 3 images in common" in shown((a, b), capsys, "--resamples", "100")
