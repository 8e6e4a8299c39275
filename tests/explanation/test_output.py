"""From a user's pictures to a folder of explanations."""

import errno
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig
from castream_jax.errors import InputError, RunError
from castream_jax.experiment.loading import STREAM, checkpoint_directory, load_trained
from castream_jax.experiment.preprocessing import settle_preprocessing
from castream_jax.explanation import classes, output
from castream_jax.explanation.output import Request, explain_pictures
from castream_jax.storage.checkpoints import Checkpoints
from tests.networks import small_resnet

pytestmark = pytest.mark.slow

EXPERIMENT = Experiment(
    name="small",
    model=ModelConfig(name="resnet18_small"),
    data=DataConfig(name="castream_demo", image_size=48),
    evaluation=EvaluationConfig(attributions=("grad_cam", "attention")),
)


def trained(experiment: Experiment, workdir: Path, classes: int):
    """Stand in for `load_trained`: no checkpoint is needed."""
    model = small_resnet(num_classes=classes)
    settle_preprocessing(model, experiment)
    return model


@pytest.fixture(autouse=True)
def network(monkeypatch):
    monkeypatch.setattr(classes, "load_trained", trained)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Return a folder with pictures of several kinds, and with a broken one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "a wide one.png")
    Image.fromarray(noise[:, :20]).convert("CMYK").save(folder / "tall.jpg")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def explain(tmp_path, *arguments, **changes) -> Path:
    request = Request([str(argument) for argument in arguments], **({"output": tmp_path / "out"} | changes))
    return explain_pictures(EXPERIMENT, tmp_path, request)


def test_what_cannot_be_read_is_skipped_and_the_rest_done(photos, tmp_path, caplog):
    with pytest.raises(RunError, match=r"1 picture was skipped.*index\.html"):
        explain(tmp_path, photos)
    assert "broken.jpg" in caplog.text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_wide_one.png", "index.html", "tall.png"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "2 pictures" in page
    assert "1 could not be read" in page
    assert "The PNG files beside it" in page
    with Image.open(tmp_path / "out" / "tall.png") as image:
        image.load()


def test_raw_maps_of_chosen_classes_and_methods(photos, tmp_path):
    found = explain(tmp_path, photos / "tall.jpg", classes="3,7", methods="grad_cam_pp", npz=True)
    assert found == tmp_path / "out" / "index.html"
    with np.load(tmp_path / "out" / "tall.npz") as maps:
        assert maps["classes"].tolist() == [3, 7]
        assert maps["class_names"].tolist() == ["3", "7"]
        for pooling in ("gap", "ca"):
            assert maps[f"grad_cam_pp_{pooling}"].shape == (2, 3, 3)
            assert maps[f"grad_cam_pp_{pooling}_nan"].tolist() == [False, False]
            nothing = maps[f"grad_cam_pp_{pooling}_all_negative"]
            assert (nothing.shape, nothing.dtype) == ((2,), bool)
            assert maps[f"probabilities_{pooling}"].sum() == pytest.approx(1)
        assert maps["image"].shape == (48, 48, 3)
        assert {f"block_{i}" for i in range(1, 6)} <= set(maps)
        assert not {"grad_cam_ca", "attention_ca"} & set(maps)


def test_nothing_of_the_users_is_overwritten(photos, tmp_path):
    with pytest.raises(InputError, match="is where the picture"):
        explain(tmp_path, photos / "tall.jpg", output=photos)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "index.html").write_text("my page")
    with pytest.raises(InputError, match="holds other things"):
        explain(tmp_path, photos / "tall.jpg", output=mine)
    with pytest.raises(InputError, match="is a file"):
        explain(tmp_path, photos / "tall.jpg", output=mine / "index.html")
    assert (mine / "index.html").read_text() == "my page"
    for _ in range(2):  # our own folder is written to again
        explain(tmp_path, photos / "tall.jpg", methods="attention")


def test_mistakes_come_before_any_work(photos, tmp_path):
    for arguments, changes, said in (
        ([], {}, "nothing to explain"),
        ([photos], {"classes": "zero"}, "unknown class 'zero'"),
        ([photos], {"methods": "grad_cm"}, "Did you mean 'grad_cam'"),
        ([photos / "*.gif"], {}, "no picture matches"),
        ([photos / "tall.jpg", photos / "missing.jpg"], {}, "there is no file or folder .*missing.jpg"),
        ([photos], {"output": Path("/proc/x/y")}, "--output /proc/x/y cannot be written to"),
        ([photos], {"output": tmp_path / ("x" * 300)}, "cannot be written to .File name too long"),
    ):
        with pytest.raises(InputError, match=said):
            explain(tmp_path, *arguments, **changes)
    with pytest.raises(RunError, match="none of the pictures could be read"):
        explain(tmp_path, photos / "broken.jpg", output=tmp_path / "out" / "deep")
    assert not (tmp_path / "out").exists()


def test_an_output_folder_among_the_pictures(photos, tmp_path):
    (photos / "broken.jpg").unlink()
    for _ in range(2):
        index = explain(tmp_path, photos, methods="attention", output=photos / "out")
        assert "2 pictures" in index.read_text()
    assert sorted(path.name for path in index.parent.iterdir()) == ["a_wide_one.png", "index.html", "tall.png"]


def test_a_disk_that_fills_up(photos, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output, "write_maps", fail)
    with pytest.raises(RunError, match="cannot write to .*out: No space left on device"):
        explain(tmp_path, photos / "tall.jpg", methods="attention", npz=True)


def test_a_file_with_another_number_of_names(photos, tmp_path, monkeypatch):
    state = nnx.state(small_resnet(num_classes=10))
    with Checkpoints(checkpoint_directory(tmp_path, STREAM), writes=True) as checkpoints:
        checkpoints.save(1, {"model": state, "training": {"step": jnp.int32(1)}}, {"config": EXPERIMENT.to_dict()})
    monkeypatch.setattr(classes, "load_trained", load_trained)
    file = tmp_path / "names.txt"
    file.write_text("cat\ndog\n")
    with pytest.raises(InputError, match=r"names\.txt has the names of 2 classes: the network in .* has 10;"):
        explain(tmp_path, photos / "tall.jpg", class_names=str(file))
    file.write_text("\n".join(map(str, range(10))))
    explain(tmp_path, photos / "tall.jpg", class_names=str(file), methods="attention")
