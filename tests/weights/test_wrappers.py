"""The state dict out of what training scripts save around it: which one was taken is said, and never guessed."""

from pathlib import Path

import numpy as np
import pytest

from castream_jax import InputError
from castream_jax.weights.labels import Opaque
from castream_jax.weights.wrappers import AVERAGES, DEEPEST, WRAPPERS, take_state_dict

FILE = Path("weights.pth")
ARRAYS, OTHERS = {"a": np.zeros(1)}, {"a": np.ones(1)}


def take(content, average=False):
    return take_state_dict(content, FILE, average)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_wrapper(wrapper, caplog):
    with caplog.at_level("INFO", logger="castream_jax"):
        found = take({"epoch": 3, wrapper: ARRAYS, "args": Opaque("argparse.Namespace"), 7: None})
    assert found.arrays is ARRAYS
    assert not found.is_average
    assert (
        f"weights.pth: taking '{wrapper}' out of epoch, {wrapper}, args (argparse.Namespace, not read), 7"
        in caplog.text
    )


def test_no_wrapper_and_several():
    assert take(ARRAYS).arrays is ARRAYS
    assert take({"model": {"state_dict": {"net": ARRAYS}}}).arrays is ARRAYS
    assert take({"model": {"lr": 0.1}, "state_dict": ARRAYS}).arrays is ARRAYS  # a config of that name


@pytest.mark.parametrize("name", AVERAGES)
def test_the_average_is_a_choice(name, caplog):
    content = {"state_dict": ARRAYS, name: OTHERS}
    with caplog.at_level("INFO", logger="castream_jax"):
        found = take(content)
    assert found.arrays is ARRAYS
    assert not found.is_average
    assert f"taking the weights themselves; the moving average beside them, {name!r}, is taken with" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO", logger="castream_jax"):
        found = take(content, average=True)
    assert found.arrays is OTHERS
    assert found.is_average
    assert f"taking {name!r} out of" in caplog.text
    assert "the weights are a moving average over training" in caplog.text


def test_an_average_alone_is_taken(caplog):
    with caplog.at_level("INFO", logger="castream_jax"):
        found = take({"model_ema": ARRAYS, "epoch": 3})
    assert found.arrays is ARRAYS
    assert found.is_average
    assert "the weights are a moving average over training" in caplog.text
    assert take({"n_averaged": np.array(3), "module.a": np.zeros(1)}).is_average


def test_no_average_to_take():
    assert not take({"state_dict": ARRAYS}, average=True).is_average


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"epoch": 3, "lr": 0.1}, "no state dict: epoch, lr in it is no array"),
        ({}, "nothing in it"),
        ([ARRAYS], "holds a list"),
        (Opaque("__main__.Net"), "refers to __main__.Net: expected tensors"),
        ({"model": Opaque("__main__.Net"), "epoch": 3}, "refers to __main__.Net: expected tensors"),
        ({"args": Opaque("argparse.Namespace"), "epoch": 3}, "args (argparse.Namespace, not read), epoch in it"),
        (ARRAYS | {"b": Opaque("__main__.Net")}, "refers to __main__.Net: expected tensors"),
        ({"model": ARRAYS | {"b": Opaque("torch.QInt8Storage")}}, "refers to torch.QInt8Storage"),
        (ARRAYS | {"epoch": 3}, "epoch in it is no array"),
        ({"state_dict": ARRAYS, "model": OTHERS}, "holds 2 state dicts, state_dict, model"),
        ({"model_ema": ARRAYS, "ema": OTHERS}, "holds 2 state dicts, model_ema, ema"),
        ({"model": {1: np.zeros(1)}}, "its keys are not all names"),
        ({"a" * 5000: 3}, "aaa…aaa"),
        ({f"key {i}": 3 for i in range(1000)}, "and 980 more"),
    ],
)
def test_what_is_no_state_dict(content, said):
    with pytest.raises(InputError) as caught:
        take(content)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_dict_within_itself_ends():
    circle: dict = {}
    circle["model"] = circle
    with pytest.raises(InputError, match="no state dict"):
        take(circle)
    deep = ARRAYS
    for _ in range(DEEPEST):
        deep = {"model": deep}
    assert take(deep).arrays is ARRAYS
    with pytest.raises(InputError, match="no state dict"):
        take({"model": deep})
