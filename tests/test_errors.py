"""The wording of errors."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castream_jax.errors import InputError, RunError, choose, escape, printable, unknown


def test_choose_returns_an_option():
    assert choose("colour", "red", ("red", "green")) == "red"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("grean", "unknown colour 'grean'. Did you mean 'green'? Choose one of: red, green."),
        ("x", "unknown colour 'x'. Choose one of: red, green."),
        (None, "unknown colour None. Choose one of: red, green."),
        (7, "unknown colour 7. Choose one of: red, green."),
    ],
)
def test_choose_names_the_nearest_option(value, message):
    with pytest.raises(InputError) as caught:
        choose("colour", value, iter(("red", "green")))
    assert str(caught.value) == message == unknown("colour", value, ("red", "green"))


def test_input_errors_are_value_errors():
    assert issubclass(InputError, ValueError)


CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@given(st.text(st.one_of(st.characters(), st.sampled_from("\x1b\r\n \u202e\x9b"))))
def test_names_are_shown_on_one_line_without_control_characters(name):
    assert not CONTROL.search(escape(name))
    if not CONTROL.search(name):
        assert escape(name) == name
    for line in printable(f"skipped: {name} is no picture").split("\n")[1:]:
        assert line.startswith("  ")  # no name forges a line of its own


def test_a_list_in_a_message_stays_a_list():
    assert printable("problems:\n  one\n  two\x1b[2J") == "problems:\n  one\n  two\\x1b[2J"


def test_long_names_are_shown_by_their_ends():
    said = printable(f"there is no file {'a' * 300}{'b' * 5000}.jpg: expected one")
    assert len(said) < 400
    assert re.fullmatch(r"there is no file a{120}\.\.\.b+\.jpg: expected one", said)
    assert printable("x" * 400) == "x" * 400


def test_places_in_memory_are_left_out():
    assert re.fullmatch("a <.*object> of object", str(InputError(f"a {object()!r} of object")))
    assert str(RunError("x object at 0x7f3a>, y")) == "x object>, y"
