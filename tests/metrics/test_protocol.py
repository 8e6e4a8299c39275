"""Protocols: what they choose, and the hash that names their choices."""

import dataclasses
import math
import typing
from pathlib import Path

import numpy as np
import pytest

from castream_jax import METRICS, PROTOCOLS, InputError
from castream_jax.cli.command import parse_flags
from castream_jax.config import EvaluationConfig, Experiment, OwnProtocol
from castream_jax.evaluation.runner import evaluation_directory
from castream_jax.experiment.preprocessing import chosen_protocol
from castream_jax.metrics.protocol import Protocol, choose_protocol, get_protocol
from tests import goldens
from tests.goldens import assert_close

CASTREAM, RISE = PROTOCOLS["castream"], PROTOCOLS["rise"]
HASHES = {"castream": "17fcc097", "rise": "c3c3c59a"}
"""Published beside numbers: they change only when a protocol does, and then old numbers no longer compare."""

METRIC_HASHES = {"AD": "b94fe045", "I": "f1de8cf6", "D": "bce44ace", "PG": "ec036c0b"}
"""Of `castream`, as published."""


def test_hashes_are_stable():
    assert {name: protocol.hash for name, protocol in PROTOCOLS.items()} == HASHES


def change(protocol: Protocol, **changes) -> Protocol:
    """Return what `dataclasses.replace` does where types are not checked, as they are in tests."""
    changed = object.__new__(Protocol)
    for name, value in (dataclasses.asdict(protocol) | changes).items():
        object.__setattr__(changed, name, value)
    changed.__post_init__()
    return changed


FIELDS = {field.name: field for field in dataclasses.fields(Protocol)}
CROP = dataclasses.replace(CASTREAM, resize="crop")


def other_values(name: str) -> list:
    """Return what a choice may be beside what it is in `CROP`."""
    options = typing.get_args(FIELDS[name].type)
    numbers = {
        "step_rows": [1, 3],
        "blur_size": [1, 11],
        "blur_sigma": [0.5, 7.0],
        "shorter_side": [256],
        "mask_share": [0.1, 0.5],
        "name": ["mine"],
    }
    return [value for value in options or numbers[name] if value != getattr(CROP, name)]


@pytest.mark.parametrize("name", FIELDS)
def test_every_choice_changes_the_hash(name):
    for value in other_values(name):
        changed = dataclasses.replace(CROP, **{name: value})
        assert changed.hash != CROP.hash
        assert len(changed.hash) == 8


ILLEGAL = {
    "name": ["", "a/b", "..", ".hidden", "a b", "x" * 101, "-x", "a\0", 3],
    "step_rows": [10**400, 0, -1, 2.5, True, "8", None],
    "blur_size": [0, 4, -5, 1001, 5.0],
    "blur_sigma": [10**400, 0.0, -1.0, math.nan, math.inf, 1e9, 1e-300, "5"],
    "shorter_side": [-1, 10**9, 256.0],
    "mask_share": [-0.1, 1.0, 1, math.nan, "0.5", None],
}


@pytest.mark.parametrize("name", FIELDS)
def test_what_is_not_implemented_is_refused(name):
    """Any other text, a near one, and what is no text, for every choice; numbers that are out of range."""
    near = [f"{getattr(CROP, name)}!", "pad", "", None, 0, ["squash"]]
    for value in ILLEGAL.get(name, near):
        with pytest.raises(InputError, match=rf"has {name}=.*: expected "):
            change(CROP, **{name: value})


def test_a_refusal_says_what_is_implemented():
    with pytest.raises(InputError, match="'castream' has resize='pad': expected 'squash' or 'crop'; nothing else"):
        change(CASTREAM, resize="pad")
    with pytest.raises(
        InputError, match="has shorter_side=256: expected 0 with resize='squash', which has no use for it"
    ):
        dataclasses.replace(CASTREAM, shorter_side=256)


def test_a_baseline_is_of_pixels():
    """Normalised values that are multiplied have the mean in its place already."""
    with pytest.raises(InputError, match="has mask_baseline='blur': expected 'black' with mask_space='normalised'"):
        dataclasses.replace(CASTREAM, mask_space="normalised", mask_baseline="blur")


def test_hashes_of_metrics_are_stable_and_know_their_choices():
    """As before some choices could be made, where these are as they were; each counts for its own metrics alone."""
    metrics = {symbol: METRICS[symbol] for symbol in ("AD", "I", "D", "PG")}
    assert {symbol: metric.hash(CASTREAM) for symbol, metric in metrics.items()} == METRIC_HASHES
    for changes, moved in (
        ({"mask_share": 0.5}, {"AD"}),
        ({"mask_baseline": "blur"}, {"AD"}),
        ({"area_over": "pixels"}, {"I", "D"}),
    ):
        other = dataclasses.replace(CASTREAM, **changes)
        assert {s for s, metric in metrics.items() if metric.hash(other) != METRIC_HASHES[s]} == moved


def test_equal_numbers_have_equal_hashes():
    for changes in ({"step_rows": np.int64(8)}, {"blur_size": np.int32(5)}, {"blur_sigma": 5}):
        same = change(CASTREAM, **changes)
        assert (same, same.hash) == (CASTREAM, CASTREAM.hash)


def test_a_protocol_of_ones_own_by_a_config():
    assert chosen_protocol(Experiment("x")) is CASTREAM
    assert choose_protocol("rise", {"step_rows": 1, "resize": "squash"}) is RISE  # as it is
    own = chosen_protocol(Experiment("x", own_protocol=OwnProtocol(step_rows=4, deletion_end="black")))
    assert own == dataclasses.replace(CASTREAM, name="castream-own", step_rows=4, deletion_end="black")
    named = chosen_protocol(Experiment("x", own_protocol=OwnProtocol(name="mine")))
    assert named == dataclasses.replace(CASTREAM, name="mine")
    assert evaluation_directory(Path("w"), own) != evaluation_directory(Path("w"), CASTREAM)
    for name in PROTOCOLS:
        with pytest.raises(InputError, match=f"is named '{name}', as another one is: give it a name of its own"):
            choose_protocol("castream", {"name": name, "step_rows": 4})
    with pytest.raises(InputError, match="has deletion_end='white': expected"):
        chosen_protocol(Experiment("x", own_protocol=OwnProtocol(deletion_end="white")))
    with pytest.raises(InputError, match="own_protocol.resize is 'crop': expected none with evaluation.preprocessing"):
        Experiment("x", evaluation=EvaluationConfig(preprocessing="weights"), own_protocol=OwnProtocol(resize="crop"))


def test_a_config_can_make_every_choice_that_there_is():
    """All but those that can be made in one way only, and what pictures are: `data` says it, for training too."""
    choices = {name for name, field in FIELDS.items() if len(typing.get_args(field.type)) != 1}
    assert {field.name for field in dataclasses.fields(OwnProtocol)} == choices - {"orientation", "transparency"}


def test_a_command_line_can_make_choices():
    flags = ["x", "--config=demo", "--config.evaluation.protocol=rise", "--config.own_protocol.mask_space=normalised"]
    own = chosen_protocol(parse_flags([*flags, "--config.own_protocol.blur_sigma=2"]).experiment)
    assert own == dataclasses.replace(RISE, name="rise-own", mask_space="normalised", blur_sigma=2.0)


def test_protocols_are_frozen_and_named():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CASTREAM.step_rows = 1
    assert all(get_protocol(name) is protocol and protocol.name == name for name, protocol in PROTOCOLS.items())
    assert hash(CASTREAM) != hash(RISE)  # they are static arguments of compiled functions


def test_steps():
    assert CASTREAM.step(224) == 1792
    assert RISE.step(224) == 224


def test_the_blur_of_castream_is_the_reference_s():
    kernel = CASTREAM.blur_kernel()
    assert_close(kernel, goldens.read("inputs")["gkern_5_5"], absolute=1e-8)
    assert_close(kernel.max() / kernel.min(), 1.0001, absolute=5e-5)


def test_the_blur_of_rise():
    kernel = RISE.blur_kernel()
    assert kernel.shape == (11, 11)
    assert_close(kernel.max() / kernel.min(), 1.14, absolute=5e-3)
    assert_close(kernel.sum(), 1.0, absolute=1e-6)
    np.testing.assert_array_equal(kernel, kernel.T)


def test_classes():
    assert CASTREAM.explained_class == "label"
    assert RISE.explained_class == "predicted"


def test_an_unknown_protocol():
    with pytest.raises(
        InputError, match=r"unknown protocol 'castraem'. Did you mean 'castream'\? Choose one of: castr"
    ):
        get_protocol("castraem")
