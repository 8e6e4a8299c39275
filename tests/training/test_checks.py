"""What cannot be trained is said before anything starts."""

import pytest

from castream_jax.compute.sharding import create_mesh
from castream_jax.config import ModelConfig
from castream_jax.data.source import Source
from castream_jax.errors import InputError
from castream_jax.training.checks import check_trainable
from tests.training.small import small_experiment


def test_a_dataset_of_one_class():
    source = Source("mine", "train", [{"label": 0}], ("cat",))
    with pytest.raises(InputError, match="a network for mine has one class: the softmax of one logit is 1"):
        check_trainable(small_experiment(""), source, create_mesh())
    sigmoid = small_experiment("", model=ModelConfig("resnet18_small", score="sigmoid"))
    with pytest.raises(InputError, match="mine has one class: nothing can be told apart"):
        check_trainable(sigmoid, source, create_mesh())
