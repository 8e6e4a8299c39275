"""Poolings by the texts that configs, rows and tables name them by."""

import pytest

from castream_jax import InputError
from castream_jax.config import ModelConfig
from castream_jax.poolings import POOLINGS
from castream_jax.poolings.choice import read_choices
from castream_jax.poolings.choosing import choose_poolings, is_trained


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("ca", ["ca"]),
        ("ca, simpool", ["ca", "simpool"]),
        (("ca", "gem(p=4)"), ["ca", "gem(p=4)"]),
        (
            "ca(heads=2, taps=stage3+stage4),ca( feed_forward = yes )",
            ["ca(taps=stage3+stage4, heads=2)", "ca(feed_forward=true)"],
        ),
        ("simpool(gamma=1.25,heads=4)", ["simpool(gamma=1.25, heads=4)"]),
        ("gem(trained=no,p=4)", ["gem(p=4, trained=false)"]),
        ("ca(trained=true)", ["ca"]),
        ("gap", ["gap"]),
    ],
)
def test_texts_are_read_and_said_again(given, texts):
    choices = read_choices(given, POOLINGS)
    assert [choice.text for choice in choices] == texts
    again = read_choices(texts, POOLINGS)
    assert [(choice.text, choice.part) for choice in again] == [(choice.text, choice.part) for choice in choices]


def test_names_of_arrays_and_for_people():
    ca, late, gem = read_choices("ca, ca(taps=stage3+stage4), gem(p=2.5)", POOLINGS)
    assert (ca.part, ca.title) == ("stream", "CA")
    assert (late.part, late.title) == ("ca_taps_stage3_stage4", "CA (taps=stage3+stage4)")
    assert (gem.part, gem.title) == ("gem_p_2_5", "GeM (p=2.5)")
    assert late.part.isidentifier()


def test_options_that_are_not_named_are_the_configs_or_the_records():
    plain, own = read_choices("ca, ca(heads=4)", POOLINGS)
    assert plain.options({"heads": 2})["heads"] == 2
    assert own.options({"heads": 2})["heads"] == 4
    assert plain.options({})["heads"] == 1


def test_gap_is_there_whether_it_is_named_or_not():
    assert [choice.text for choice in choose_poolings("gap, ca")] == ["ca"]
    assert choose_poolings("gap") == ()


def test_what_has_nothing_to_train():
    assert not is_trained(choose_poolings("gap, max"))
    assert is_trained(choose_poolings("max, gem"))
    assert not is_trained(choose_poolings("ca(trained=false)"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("simpol", "unknown pooling 'simpol'. Did you mean 'simpool'"),
        ("", "expected one of gap, ca, single"),
        ("ca, ca", "pooling 'ca' is named twice"),
        ("gem(q=3)", "unknown option of gem: 'q'"),
        ("gem(p)", "'p' is no option: expected name=value"),
        ("gem(p=many)", "p is 'many', expected a number, as 3"),
        ("ep(queries=2.5)", "queries is '2.5', expected a whole number, as 32"),
        ("max(trained=false)", "unknown option of max: 'trained'"),
        ("gem(trained=perhaps)", "trained is 'perhaps', expected true or false"),
        ("ca(taps=stage3+stage3)", "expected each once"),
        ("ca(taps=)", "'taps=' is no option"),
        ("ca(heads=2", "cannot be read"),
        ("gap(taps=stage3)", "gap has no options"),
        ("my_package:missing", "the module my_package cannot be imported"),
        ("tests.poolings.test_choice:POOLINGS", "expected a Pooling of castream_jax"),
    ],
)
def test_what_cannot_be_read_is_told(given, message):
    with pytest.raises(InputError, match=message):
        choose_poolings(given)


def test_a_config_has_one_spelling():
    assert ModelConfig(pooling=("ca", "gem(p=4, trained=false)")).pooling == "ca, gem(p=4, trained=false)"
    assert ModelConfig(pooling="ca,simpool").pooling == "ca, simpool"
