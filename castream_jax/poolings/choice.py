"""A pooling with its options, as a config, a row and a table name it: `ca`, `gem(p=4)`, `ca(taps=stage3+stage4)`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from castream_jax.errors import InputError, choose
from castream_jax.poolings.pooling import Option, Pooling

TAPS, TRAINED = "taps", "trained"
FORM = re.compile(r"\s*([^\s(),]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
WORDS = {"true": True, "false": False, "yes": True, "no": False}


@dataclass(frozen=True)
class Choice:
    """A pooling, and what is chosen of it."""

    pooling: Pooling
    taps: tuple[str, ...] = ()
    """The feature maps that it reads; empty: those of its record."""
    chosen: tuple[tuple[str, Option], ...] = ()
    """Options that are not as the record has them, in its order."""
    trained: bool = True
    """Whether training changes it; else it stays as it is created."""

    @property
    def trains(self) -> bool:
        """Whether there is something that training changes."""
        return self.trained and bool(self.pooling.trains)

    @property
    def text(self) -> str:
        """How rows name it, and how it is read again."""
        return self._say(self.pooling.key)

    @property
    def title(self) -> str:
        """Its name for people."""
        return self._say(self.pooling.name, " ")

    @property
    def part(self) -> str:
        """Under which name its arrays stand in a network."""
        is_plain = self.text == self.pooling.key
        return re.sub(r"\W+", "_", self.pooling.part or self.text if is_plain else self.text).strip("_")

    def options(self, usual: Mapping[str, Option]) -> dict[str, Option]:
        """Return all its options; those that are not chosen are as `usual` says, or else the record."""
        known = {name: usual.get(name, value) for name, value in self.pooling.options.items()}
        return known | dict(self.chosen)

    def _say(self, name: str, space: str = "") -> str:
        said = [f"{TAPS}={'+'.join(self.taps)}"] if self.taps else []
        said += [f"{option}={_show(value)}" for option, value in self.chosen]
        said += [] if self.trained else [f"{TRAINED}=false"]
        return f"{name}{space}({', '.join(said)})" if said else name


def _show(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def read_choices(
    poolings: str | Sequence[str], known: Mapping[str, Pooling], find: Callable[[str], Pooling] | None = None
) -> tuple[Choice, ...]:
    """Return the poolings that a text or several name, each once, in their order.

    Args:
      poolings: "ca", "ca, simpool", or a sequence of such; options stand in parentheses, several taps with "+" between
        them: "ca(taps=stage3+stage4, heads=2)".
      known: records by key.
      find: returns the record that "module:name" names; None: such are not known.

    Raises:
      InputError: an unknown pooling or option, a value of another type, one pooling twice, or none.
    """
    texts = [poolings] if isinstance(poolings, str) else list(poolings)
    found = [read_choice(text, known, find) for each in texts for text in _split(each)]
    if not found:
        raise InputError(f"pooling is {poolings!r}: expected one of {', '.join(known)}, or several.")
    for text in (choice.text for choice in found):
        if [choice.text for choice in found].count(text) > 1:
            raise InputError(f"pooling {text!r} is named twice: expected each once.")
    return tuple(found)


def read_choice(text: str, known: Mapping[str, Pooling], find: Callable[[str], Pooling] | None = None) -> Choice:
    """Return the pooling that a text names; `InputError` as `read_choices`."""
    form = FORM.fullmatch(text)
    if form is None:
        raise InputError(f"pooling {text!r} cannot be read: expected a name, as 'ca', or 'ca(taps=stage3+stage4)'.")
    key, inside = form.groups()
    record = find(key) if find and ":" in key else known[choose("pooling", key, known)]
    given: dict[str, str] = {}
    for piece in filter(None, map(str.strip, (inside or "").split(","))):
        name, sign, value = map(str.strip, piece.partition("="))
        if not sign or not value or name in given:
            raise InputError(f"pooling {text!r}: {piece!r} is no option: expected name=value, each name once.")
        common = (TAPS, TRAINED) if record.trains else (TAPS,)
        given[choose(f"option of {record.key}:", name, (*common, *record.options))] = value
    taps = tuple(given.pop(TAPS).split("+")) if TAPS in given else ()
    if not all(taps) or len(set(taps)) < len(taps):
        raise InputError(f"pooling {text!r} names its taps {'+'.join(taps)!r}: expected each once, as stage3+stage4.")
    trained = bool(_read(text, TRAINED, given.pop(TRAINED, "true"), True))
    values = {name: _read(text, name, given[name], usual) for name, usual in record.options.items() if name in given}
    return Choice(record, taps, tuple((name, value) for name, value in values.items()), trained)


def list_addresses(poolings: str | Sequence[str]) -> list[str]:
    """Return the addresses of a user's own records, "module:name", among the poolings that a text or several name."""
    texts = [poolings] if isinstance(poolings, str) else list(poolings)
    forms = (FORM.fullmatch(text) for each in texts for text in _split(each))
    return [form[1] for form in forms if form and ":" in form[1]]


def _read(text: str, name: str, value: str, usual: Option) -> Option:
    """Return an option's value, of the type that it usually has."""
    try:
        if isinstance(usual, bool):
            return WORDS[value.lower()]
        return type(usual)(value)
    except (KeyError, ValueError):
        expected = "true or false" if isinstance(usual, bool) else {int: "a whole number", float: "a number"}
        said = expected if isinstance(expected, str) else expected.get(type(usual), "a word")
        raise InputError(f"pooling {text!r}: {name} is {value!r}, expected {said}, as {_show(usual)}.") from None


def _split(text: Any) -> Iterable[str]:
    """Yield the poolings that a text names, at the commas outside of parentheses."""
    if not isinstance(text, str):
        raise InputError(f"pooling is {text!r}: expected a text, as 'ca', or several.")
    return filter(str.strip, re.split(r",(?![^(]*\))", text))
