"""The paper's figures from the command line, on tiny datasets."""

import numpy as np
import pytest
from PIL import Image

from castream_jax.cli.figures import main
from castream_jax.data.explained_classes import explain_each_class
from castream_jax.data.source import Source
from castream_jax.errors import InputError
from castream_jax.experiment.preprocessing import settle_preprocessing
from castream_jax.explanation import classes
from castream_jax.explanation import print_figures as figures
from castream_jax.explanation.print_figures import count_panels, find_records
from tests.networks import small_resnet

SCENES = {"corridor": 3, "greenhouse": 1, "winecellar": 2}


def trained(experiment, workdir, classes):
    """Stand in for `load_trained`: no checkpoint is needed."""
    model = small_resnet(num_classes=classes)
    settle_preprocessing(model, experiment)
    return model


@pytest.fixture(autouse=True)
def network(monkeypatch):
    monkeypatch.setattr(classes, "load_trained", trained)


@pytest.fixture
def drawn(monkeypatch) -> list:
    """Return the galleries that a test draws."""
    galleries = []
    monkeypatch.setattr(figures, "lay_grid", lambda g, **kw: (galleries.append(g), lay_grid(g, **kw))[1])
    return galleries


lay_grid = figures.lay_grid


@pytest.fixture
def scenes(tmp_path):
    """Return the flags of a made-up set of scenes, whose classes the network does not have."""
    values = np.random.default_rng(0)
    for name, count in SCENES.items():
        folder = tmp_path / "scenes" / "test" / name
        folder.mkdir(parents=True)
        for i in range(count):
            Image.fromarray(values.integers(0, 256, (30, 50, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return ["--dataset=image_folder", f"--config.data.directory={tmp_path / 'scenes'}"]


def draw(tmp_path, *arguments) -> None:
    flags = ["--nocompile_cache", "--config.data.image_size=48", f"--workdir={tmp_path / 'run'}"]
    main(["figures", "--config=demo", *flags, *arguments])


def test_scenes_by_class_and_id(scenes, tmp_path, drawn, capsys):
    draw(tmp_path, "scenes", "winecellar/1.png", "--classes=corridor,greenhouse", *scenes)
    heat_maps = drawn[0]
    assert heat_maps.titles == ("winecellar", "corridor", "corridor", "greenhouse")
    assert heat_maps.ids[0] == "winecellar/1.png"
    assert list(heat_maps.maps) == [("attention", "ca")]
    said = capsys.readouterr().out
    for suffix in (".pdf", ".png"):
        path = tmp_path / "run" / "figures" / f"scenes{suffix}"
        assert path.stat().st_size
        assert f"figure: {path}" in said


def test_the_attention_of_each_block(scenes, tmp_path, drawn):
    draw(tmp_path, "scenes", "--classes=corridor", "--count=1", "--blocks", f"--output={tmp_path / 'a.b'}", *scenes)
    shapes = [maps.shape for maps in drawn[0].maps.values()]
    assert len(set(shapes)) > 1  # each at its own resolution
    assert [key[0] for key in drawn[0].maps] == [f"Attention, block {i}" for i in range(1, 6)]
    assert (tmp_path / "a.b.pdf").exists()


def test_the_comparison_grid(demo_directory, tmp_path, drawn):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "mine.png")
    draw(
        tmp_path,
        "grid",
        str(tmp_path / "mine.png"),
        "1",
        "test_00000",
        f"--config.data.directory={demo_directory}",
        "--methods=grad_cam,attention",
    )
    heat_maps = drawn[0]
    assert heat_maps.ids == ("mine.png", "test_00001", "test_00000")
    assert set(heat_maps.maps) == {("grad_cam", "gap"), ("grad_cam", "ca"), ("attention", "ca")}
    assert "GAP: " in heat_maps.titles[0]
    assert "CA: " in heat_maps.titles[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "unknown figure ''"),
        (["gird"], "Did you mean 'grid'"),
        (["scenes"], "no images are named"),
        (["scenes", "--classes=coridor"], "Did you mean 'corridor'"),
        (["scenes", "--classes=corridor", "--count=0"], "--count is '0'"),
        (["scenes", "corridor/9.png"], "has no image 'corridor/9.png'"),
        (["scenes", "77"], "has no image '77'"),
    ],
)
def test_mistakes_end_with_code_2(arguments, said, scenes, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        draw(tmp_path, *arguments, *scenes)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


class Records:
    """Records that remember which of them were read."""

    def __init__(self):
        self.read: list[int] = []

    def __len__(self):
        return 100

    def __getitem__(self, index):
        self.read.append(index)
        return {"label": index % 2, "id": f"image {index}"}


def test_a_search_reads_no_further_than_it_must():
    source = Source("some", "test", Records(), ("a", "b", "c"))
    assert find_records(source, ["image 3", "50"], [1], 2) == [3, 50, 1, 3]
    assert max(source.records.read) == 3
    with pytest.raises(InputError, match="no image of class 'c'"):
        find_records(source, [], [2], 1)


def test_a_place_is_that_of_an_image_in_its_split():
    labels = [(1, 2), (), (0,), (2, 0)]
    pictures = [{"labels": classes, "id": f"image {i}"} for i, classes in enumerate(labels)]
    source = explain_each_class(Source("some", "test", pictures, ("a", "b", "c"), has_several_labels=True))
    found = [source[place]["id"] for place in find_records(source, ["0", "2", "3", "image 3#c"], [], 1)]
    assert found == ["image 0#b", "image 2#a", "image 3#a", "image 3#c"]
    with pytest.raises(InputError, match="no image '1'.*or a place from 0 to 3 of an image that shows a class"):
        find_records(source, ["1"], [], 1)


def test_panels_have_cells_of_about_an_inch():
    assert [count_panels(maps) for maps in (1, 2, 5, 7)] == [3, 2, 1, 1]
