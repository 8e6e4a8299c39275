"""Files that torch itself writes, with everything that training scripts put beside the weights, in both its formats."""

import argparse
import collections
import datetime
import enum
import pathlib
import random

import jax
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError, export_weights, load_weights
from tests.networks import small_resnet
from tests.torch_models import import_torch


class Stage(enum.Enum):
    """A class of ours."""

    LAST = 1


def things(torch) -> dict[object, object]:
    """Return what may stand beside a state dict."""
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    parameter.grad = torch.ones(3)
    optimizer.step()
    return {
        "args": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("x")),
        "best": np.float64(0.93),
        "history": np.arange(3.0),
        "dtype": np.dtype("float32"),
        "losses": collections.defaultdict(list, {"loss": [1.0]}),
        "counts": collections.Counter("aab"),
        "queue": collections.deque([1, 2]),
        "set": {1, 2},
        "frozen": frozenset([1]),
        "bytes": b"abc",
        "complex": 1j,
        "enum": Stage.LAST,
        "date": datetime.datetime(2020, 1, 1),
        "device": torch.device("cpu"),
        "torch dtype": torch.float32,
        "size": torch.Size([1, 2]),
        "random": (random.Random(0).getstate(), torch.get_rng_state()),
        "sparse": torch.eye(2).to_sparse(),
        "optimizer": optimizer.state_dict(),
        "whole optimizer": optimizer,
        "module": torch.nn.Linear(2, 2),
        "classes": {0: "a", 1: "b"},
        "pairs": {(0, "a"): 1, Stage.LAST: 2, torch.float32: 3},
    }


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("is_zip", [True, False])
def test_what_stands_beside_the_weights(tmp_path, is_zip, protocol):
    torch, model = import_torch(), small_resnet("gap")
    weights = {f"module.{key}": torch.from_numpy(array) for key, array in export_weights(model).items()}
    path = tmp_path / "resnet18_small.ckpt"
    content = {"state_dict": weights, **things(torch)}
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    loaded = load_weights(jax.tree.map(np.zeros_like, model), path)
    for found, expected in zip(jax.tree.leaves(nnx.state(loaded)), jax.tree.leaves(nnx.state(model))):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_whole_model_is_not_read(tmp_path, is_zip):
    torch = import_torch()
    for content in (torch.nn.Linear(2, 2), {"model": torch.nn.Linear(2, 2), "epoch": 3}):
        torch.save(content, tmp_path / "whole.pth", _use_new_zipfile_serialization=is_zip)
        with pytest.raises(InputError, match="refers to torch.nn.modules.linear.Linear"):
            load_weights(small_resnet("gap"), tmp_path / "whole.pth")


@pytest.mark.parametrize("is_zip", [True, False])
def test_quantised_weights_are_not_read(tmp_path, is_zip):
    torch = import_torch()
    content = {"fc.weight": torch.ones(2).to(torch.float8_e4m3fn), "fc.bias": torch.ones(2)}
    torch.save(content, tmp_path / "quantised.pth", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(InputError, match="refers to torch.float8_e4m3fn"):
        load_weights(small_resnet("gap"), tmp_path / "quantised.pth")
