"""The notebooks: both files of each in step, without outputs, and run as a reader runs them, at a tiny size."""

import os
import re
import runpy
import shutil
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.compiling import IN_A_HURRY

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
PAIR = runpy.run_path(str(NOTEBOOKS / "pair.py"))
NAMES = ("colab_tpu", "explain_your_own", "reproduce_the_table")
SMALL = [
    "--config.data.image_size=48",
    "--config.backbone.epochs=1",
    "--config.stream.epochs=1",
    "--config.evaluation.num_images=4",
    "--config.evaluation.batch_size=4",
    "--config.evaluation.num_figures=2",
    "--config.evaluation.attributions=('score_cam', 'attention')",
]


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def test_these_are_all():
    assert {file.stem for file in NOTEBOOKS.glob("*.ipynb")} == {file.stem for file in PAIR["SCRIPTS"]} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_both_files_are_in_step_and_without_outputs(name):
    script = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
    written = (NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")
    assert written == PAIR["render"](script), "run: python notebooks/pair.py"
    nbformat.validate(read(name))
    for cell in read(name).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_repository_is_named_in_one_place():
    address = PAIR["read_address"]()
    assert re.fullmatch(r"[\w.-]+/castream_jax", address)
    for file in [*PAIR["SCRIPTS"], PAIR["PAGE"]]:
        text = file.read_text(encoding="utf-8")
        assert PAIR["write_address"](text, address) == text, "run: python notebooks/pair.py"
        assert PAIR["write_address"](text, "someone/castream_jax").count("someone/castream_jax") >= 2
    page = PAIR["PAGE"].read_text(encoding="utf-8")
    for name in NAMES:
        link = f"https://colab.research.google.com/github/{address}/blob/main/notebooks/{name}.ipynb"
        assert f"({link})" in page
        assert f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({link})" in (
            read(name).cells[0].source
        )


def test_every_notebook_says_what_it_takes():
    for name in NAMES:
        head = read(name).cells[0].source
        for device in ("2 CPU cores", "T4 GPU", "TPU v5e"):
            assert f"| {device} |" in head


def test_the_first_cell_of_code_is_the_same_everywhere():
    first = {next(cell.source for cell in read(name).cells if cell.cell_type == "code") for name in NAMES}
    assert len(first) == 1
    (cell,) = first
    assert "!test -d {clone} || git clone" in cell
    # Only Colab runs what is in it; this much can be known here.
    compile(TransformerManager().transform_cell(cell), "first cell", "exec")


@dataclass(frozen=True)
class Shown:
    """What a notebook shows."""

    text: str
    pictures: int


def execute(name: str, folder: Path, **parameters: object) -> Shown:
    """Run a notebook in a folder as if its parameters had been set by hand."""
    notebook = read(name)
    (place,) = (i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    defined = set(re.findall(r"^(\w+) =", notebook.cells[place].source, re.MULTILINE))
    assert parameters.keys() <= defined
    chosen = [f"{key} = {value!r}" for key, value in parameters.items()]
    # Ten seconds of calibration tell nothing here.
    chosen += ["import castream_jax.evaluation.estimate", "castream_jax.evaluation.estimate.CALIBRATION = 0.1"]
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell("\n".join(chosen)))
    client = NotebookClient(notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute(env=os.environ | IN_A_HURRY | {"PYTHONPATH": str(ROOT)})
    if keep := os.environ.get("KEEP_NOTEBOOKS"):  # to look at them
        nbformat.write(notebook, Path(keep) / f"{name}.ipynb")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    data = [output.get("data", {}) for output in outputs]
    text = "\n".join(output.get("text", "") for output in outputs)
    assert "Warning" not in text
    text += "\n".join(shown.get("text/markdown", shown.get("text/html", "")) for shown in data)
    return Shown(text, sum("image/png" in shown for shown in data))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, demo_directory) -> Path:
    """Return an empty folder, which no notebook may take for the repository; what is compiled is kept for the next."""
    folder = tmp_path_factory.mktemp("notebooks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(demo_directory))
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax" / "notebooks"))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield folder


@pytest.fixture(scope="module")
def trained(folder) -> tuple[Path, Shown]:
    """Return the work directory that `colab_tpu` leaves, and what it shows."""
    shown = execute(
        "colab_tpu", folder, DEMO=True, FLAGS=SMALL, WORKDIR=str(folder / "run"), SAVE_TO=str(folder / "drive")
    )
    return folder / "run", shown


def test_colab_tpu(trained, folder):
    workdir, shown = trained
    assert "computes on 1 x cpu" in shown.text
    assert re.search(r"validation accuracy: GAP [\d.]+%, CA [\d.]+%", shown.text)
    assert shown.pictures == 2
    assert "| Score-CAM | GAP |" in shown.text
    assert (folder / "drive" / "run" / "evaluation" / "castream" / "report.html").is_file()
    assert (workdir / "summary.json").read_text() == (folder / "drive" / "run" / "summary.json").read_text()


def test_reproduce_the_table(trained, folder):
    workdir, _ = trained
    before = (workdir / "evaluation" / "castream" / "rows.parquet").read_bytes()
    shutil.rmtree(workdir / "evaluation")
    shown = execute("reproduce_the_table", folder, CONFIG="demo", FLAGS=SMALL, WORKDIR=str(workdir), GO=True)
    assert "Evaluation: 4 images, and 4 once more for the report, at most" in shown.text
    assert re.search(r"Training the stream: 1 x 96 images = 96 passes,\n[\d,]+ a second: [\d.]+ hours", shown.text)
    assert "a small ResNet from scratch" in shown.text  # the config's docstring
    assert "| Score-CAM | GAP |" in shown.text
    assert (workdir / "evaluation" / "castream" / "rows.parquet").read_bytes() == before


def test_explain_your_own(trained, folder):
    workdir, _ = trained
    gallery = folder / "gallery.html"
    shown = execute(
        "explain_your_own",
        folder,
        CONFIG="demo",
        FLAGS=SMALL,
        WORKDIR=str(workdir),
        CLASSES=["3"],
        GALLERY=str(gallery),
    )
    assert shown.pictures == 1
    assert "<iframe srcdoc=" in shown.text
    assert "chelsea" in gallery.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("reproduce_the_table", {"CONFIG": "resnet50_ca"}),
        ("colab_tpu", {"DEMO": True, "FLAGS": ["--config.data.name=imagenet2012"]}),
    ],
)
def test_data_that_is_not_there_is_told_without_a_traceback(name, parameters, folder):
    with pytest.raises(CellExecutionError) as ended:
        execute(name, folder, **parameters)
    shown = ended.value.traceback  # of nbclient: the cell, and what stands below it
    assert "\nerror: dataset 'imagenet2012' is not prepared in" in shown
    assert "Prepare it once: castream prepare imagenet2012" in shown
    assert "Traceback" not in shown
