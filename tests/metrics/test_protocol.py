"""Protocols: what they choose, and the hash that names their choices."""

import dataclasses

import numpy as np
import pytest

from castream_jax import PROTOCOLS, InputError
from castream_jax.metrics.protocol import Protocol, get_protocol
from tests import goldens
from tests.goldens import assert_close

CASTREAM, RISE = PROTOCOLS["castream"], PROTOCOLS["rise"]
HASHES = {"castream": "17fcc097", "rise": "c3c3c59a"}
"""Published beside numbers: they change only when a protocol does, and then old numbers no longer compare."""


def test_hashes_are_stable():
    assert {name: protocol.hash for name, protocol in PROTOCOLS.items()} == HASHES


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Protocol)])
def test_every_choice_changes_the_hash(field):
    value = getattr(CASTREAM, field)
    other = value + 1 if isinstance(value, int | float) else f"{value}!"
    changed = object.__new__(Protocol)  # not through the constructor, whose types are checked
    for name, old in dataclasses.asdict(CASTREAM).items():
        object.__setattr__(changed, name, other if name == field else old)
    assert changed.hash != CASTREAM.hash
    assert len(changed.hash) == 8


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
