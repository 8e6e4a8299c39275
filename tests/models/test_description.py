"""What a checkpoint says of its network beside the arrays comes back as it was, through JSON."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castream_jax import InputError, Normalisation, Preprocessing
from castream_jax.config import Experiment
from castream_jax.models.description import describe_network, recall_network
from castream_jax.models.inputs import IMAGENET
from tests.networks import small_resnet

MODEL = small_resnet("gap", num_classes=3)
OTHER = small_resnet("gap", num_classes=3)
SHARES = st.tuples(*[st.floats(0.01, 1)] * 3)
PREPROCESSINGS = st.builds(
    Preprocessing,
    size=st.integers(1, 4096),
    resize=st.sampled_from(["squash", "crop"]),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
    shorter_side=st.integers(0, 4096),
    orientation=st.sampled_from(["upright", "stored"]),
    transparency=st.sampled_from(["white", "drop"]),
)


@settings(deadline=None)
@given(st.none() | PREPROCESSINGS, SHARES, SHARES, st.none() | st.tuples(*[st.text()] * 3))
def test_it_comes_back_as_it_was(preprocessing, mean, std, class_names):
    MODEL.preprocessing, MODEL.normalisation = preprocessing, Normalisation(mean, std)
    MODEL.class_names = class_names or ()
    said = json.loads(json.dumps({"network": describe_network(MODEL)}))
    recall_network(OTHER, said)
    assert (OTHER.preprocessing, OTHER.normalisation, OTHER.class_names) == (
        MODEL.preprocessing,
        MODEL.normalisation,
        MODEL.class_names,
    )


def test_checkpoints_from_before_say_it_by_their_config():
    config = Experiment(name="x").to_dict()
    config["data"] = {"image_size": 96}
    other = small_resnet("gap", num_classes=3)
    other.normalisation, other.class_names = Normalisation((0.5,) * 3, (0.5,) * 3), ("a", "b", "c")
    recall_network(other, {"config": config})
    assert other.preprocessing == Preprocessing(96, orientation="stored", transparency="drop")
    assert (other.normalisation, other.class_names) == (IMAGENET, ())


GOOD = {
    "preprocessing": {"size": 96},
    "normalisation": {"mean": [0.5] * 3, "std": [0.5] * 3},
    "class_names": [],
    "score": "softmax",
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score": "sparsemax"}, "scores are 'sparsemax': expected 'softmax' or 'sigmoid'"),
        ({"score": None}, "scores are None"),
        ({"preprocessing": {"sise": 96}}, "cannot be read"),
        ({"preprocessing": 96}, "cannot be read"),
        ({"normalisation": {"mean": [0.5] * 3}}, "cannot be read"),
        ({"normalisation": {"mean": "abc", "std": [0.5] * 3}}, "cannot be read"),
        ({"class_names": 3}, "cannot be read"),
    ],
)
def test_what_cannot_be_read(change, said):
    recall_network(small_resnet("gap"), {"network": GOOD})
    with pytest.raises(InputError, match=said):
        recall_network(small_resnet("gap"), {"network": GOOD | change})


@pytest.mark.parametrize("network", [None, [], "text", {}, {"score": "softmax"}])
def test_what_is_no_description(network):
    with pytest.raises(InputError, match="scores are|cannot be read"):
        recall_network(small_resnet("gap"), {"network": network})
