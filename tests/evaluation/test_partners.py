"""Networks drawn again and images of other classes, in an evaluation: numbers that do not depend on the batch."""

import dataclasses

import numpy as np
import pytest

from castream_jax.errors import InputError
from castream_jax.evaluation import partners
from castream_jax.evaluation.batch import predict_cost
from castream_jax.evaluation.partners import Partners, find_partners
from castream_jax.evaluation.runner import evaluate
from castream_jax.experiment.resolved import resolve_trained
from castream_jax.training.loop import train
from tests.training.small import small_experiment

pytestmark = [pytest.mark.usefixtures("shallow"), pytest.mark.slow]
CHOSEN = {"attributions": ("grad_cam",), "metrics": ("GridPG", "MPRT"), "null_maps": ("constant",), "num_images": 5}


@pytest.fixture(scope="module")
def trained(demo_directory, tmp_path_factory):
    """Return (experiment, workdir) after training."""
    experiment, workdir = small_experiment(str(demo_directory)), tmp_path_factory.mktemp("run")
    train(experiment, workdir)
    return dataclasses.replace(experiment, evaluation=dataclasses.replace(experiment.evaluation, **CHOSEN)), workdir


def test_rows_do_not_depend_on_the_batch(trained):
    experiment, workdir = trained
    columns = {}
    for size in (8, 16):
        config = dataclasses.replace(experiment.evaluation, batch_size=size)
        rows = evaluate(dataclasses.replace(experiment, evaluation=config), workdir).rows
        columns[size] = {name: rows[name].to_numpy() for name in ("grid_pointing_game", "cascade", "cascade_whole")}
        nulls = np.array([row == "constant" for row in rows["attribution"].to_pylist()])
        np.testing.assert_allclose(columns[size]["grid_pointing_game"][nulls], 0.25, atol=1e-6)
        np.testing.assert_allclose(columns[size]["cascade"][nulls], 1, atol=1e-6)
    for name, values in columns[8].items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values, columns[16][name], atol=2e-3, err_msg=name)


def test_partners_are_the_surest_of_other_classes(trained, monkeypatch):
    resolved = resolve_trained(*trained)
    found = find_partners(resolved, 3)
    assert len(set(found.labels.tolist())) == len(found.labels) == partners.KEPT
    labels = np.arange(10)
    chosen = found.choose(labels, np.arange(10))
    assert chosen.shape == (10, 3, 32, 32, 3)
    own = {image.tobytes(): label for image, label in zip(found.images, found.labels, strict=True)}
    classes = np.array([[own[image.tobytes()] for image in images] for images in chosen])
    assert (classes != labels[:, None]).all()
    assert all(len(set(row)) == 3 for row in classes.tolist())
    monkeypatch.setattr(partners, "LOOKED_AT", 2)
    with pytest.raises(InputError, match="puts 3 images of other classes beside each image, and 2 images"):
        find_partners(resolved, 3)


def test_who_has_no_image_of_its_class_among_them_gets_any():
    images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1) * np.ones((1, 2, 2, 3), np.uint8)
    chosen = Partners(images, np.array([5, 3, 8, 1]), 3).choose(np.array([3, 7]), np.array([0, 3]))
    assert chosen[:, :, 0, 0, 0].tolist() == [[0, 2, 3], [3, 0, 1]]


def test_the_cost_is_predicted(trained):
    resolved = resolve_trained(*trained)
    parts = 1 + 5 + 5  # classifier, blocks, stem and stages
    assert predict_cost(resolved.model, resolved.plan, resolved.size)[0] == 2 + 4 + 1 + parts
