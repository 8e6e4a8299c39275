"""How logits become scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax.errors import InputError
from castream_jax.models.answers import check_probabilities
from castream_jax.models.classifier import create_model
from castream_jax.models.description import describe_network, recall_network
from castream_jax.models.network import Network
from castream_jax.models.scores import compute_scores, name_score

LOGITS = jnp.asarray([[1.0, -2.0, 0.5], [0.0, 0.0, 9.0]])


def create(score):
    return nnx.eval_shape(lambda: create_model("resnet18_small", num_classes=3, score=score))


def half(logits):
    return 0.5 * jnp.ones_like(logits)


@pytest.mark.parametrize(
    ("score", "expected"),
    [("softmax", jax.nn.softmax(LOGITS)), ("sigmoid", 1 / (1 + np.exp(-LOGITS))), (half, np.full((2, 3), 0.5))],
)
def test_every_pooling_has_the_score(score, expected):
    model = create(score)
    assert isinstance(model, Network)
    assert model.has_attention
    assert not model.poolings()["gap"].has_attention
    for network in model.poolings().values():
        np.testing.assert_allclose(network.scores(LOGITS), expected, atol=1e-6)


def test_what_is_no_score():
    with pytest.raises(InputError, match="unknown score 'sofmax'. Did you mean 'softmax'"):
        create("sofmax")
    with pytest.raises(InputError, match=r"score returns \(2,\) for logits \(2, 3\): expected as many"):
        compute_scores(lambda logits: logits.sum(1), LOGITS)


def test_a_file_keeps_a_name_and_no_function():
    other = create("softmax")
    recall_network(other, {"network": describe_network(create("sigmoid"))})
    assert other.score == "sigmoid"
    assert name_score("softmax") == "softmax"
    with pytest.raises(InputError, match="score is a function, half: a file can say softmax or sigmoid only"):
        describe_network(create(half))


def test_one_logit_has_a_sigmoid():
    check_probabilities("net", 1, "sigmoid")
    check_probabilities("net", 1, half)
    with pytest.raises(InputError, match="or score='sigmoid'"):
        check_probabilities("net", 1, "softmax")
