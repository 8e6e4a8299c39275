"""A listing of pictures as columns: a CSV file, or one of a JSON object in each line."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from castream_jax.errors import ITEM, InputError, unknown
from castream_jax.storage.regular_files import read_regular

LARGEST = 2**30
"""Bytes of a listing: ten times what all of ImageNet needs."""
SUFFIXES = (".csv", ".tsv", ".jsonl")
DELIMITERS = (",", "\t", ";")
SHOWN = 5
"""Rows of each kind in a message."""


@dataclass(frozen=True)
class Table:
    """What a listing says."""

    file: Path
    columns: dict[str, list[Any]]
    """By name, a value for each row: texts; of JSON anything, None where a row has none."""
    lines: list[int]
    """Of each row, where it begins in the file."""

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str, setting: str) -> list[Any]:
        """Return a column, or raise `InputError`; `setting` says how to name another one."""
        if name not in self.columns:
            raise InputError(
                f"{self.file}: {unknown('column', name, self.columns)} Its first line has the names of the columns; "
                f"another one is named as in --config.data.columns='{setting}=COLUMN'."
            )
        return self.columns[name]


@dataclass
class Problems:
    """What is wrong with the rows of a listing, for one message."""

    file: Path
    rows: dict[str, list[str]] = field(default_factory=dict)
    """By what is wrong, the rows, in words."""
    unit: str = "line"

    def note(self, what: str, line: int, value: object) -> None:
        """Note that something is wrong with a row, with the value that is."""
        self.rows.setdefault(what, []).append(f"{self.unit} {line} ({str(value)[:80]!r})")

    def check(self, advice: str) -> None:
        """Raise `InputError` if there is anything."""
        if self.rows:
            found = sum(map(len, self.rows.values()))
            kinds = [f"{ITEM}{what}: {len(rows):,}, {word_rows(rows)}" for what, rows in self.rows.items()]
            raise InputError(f"{self.file}: {found:,} rows cannot be used. {advice}{''.join(kinds)}")


def word_rows(rows: Sequence[str]) -> str:
    """Word a list of rows of which only the first are shown."""
    return ", ".join(rows[:SHOWN]) + (f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else "")


def read_table(file: Path) -> Table:
    """Return what a listing says; its format is that of its suffix.

    Raises:
      InputError: it cannot be read, is empty, has two columns of one name, or rows that are malformed; names all.
    """
    try:
        text = read_regular(file, LARGEST).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}): expected a listing in UTF-8.") from error
    problems = Problems(file)
    rows = _read_objects(text, problems) if file.suffix == ".jsonl" else _read_lines(text, file, problems)
    lines, columns = list[int](), dict[str, list[Any]]()
    for line, row in rows:
        for name in row:
            if name not in columns:
                columns[name] = [None] * len(lines)
        lines.append(line)
        for name, values in columns.items():
            values.append(row.get(name))
    problems.check("Expected as many values in each as the first line has names of columns, or a JSON object in each.")
    if not lines:
        raise InputError(f"{file} lists no pictures: expected a line for each.")
    return Table(file, columns, lines)


def _read_lines(text: str, file: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    first = text.partition("\n")[0]
    delimiter = "\t" if file.suffix == ".tsv" else next((sign for sign in DELIMITERS if sign in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    start = 1
    try:
        for row in reader:
            if row and not header:
                header = [name.strip() for name in row]
                if len(set(header)) < len(header):
                    raise InputError(f"{file} has two columns of one name: {', '.join(header)}.")
            elif row and len(row) != len(header):
                problems.note(f"not {len(header)} values", start, delimiter.join(row))
            elif row:
                yield start, dict(zip(header, row))
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: {error}. Expected CSV, with quotes in pairs.") from error


def _read_objects(text: str, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            yield line, found
        else:
            problems.note("no JSON object", line, content)
