"""The wording of errors."""

import pytest

from castream_jax.errors import InputError, choose, unknown


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
