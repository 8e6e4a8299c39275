"""What several tests of the report start from."""

import pyarrow as pa
import pytest

from castream_jax.evaluation import figures, grid
from castream_jax.evaluation.sheet import Sheet
from tests.evaluation.synthetic import create_rows


@pytest.fixture
def rows() -> pa.Table:
    """Return rows of five images under every attribution and pooling."""
    return create_rows()


@pytest.fixture
def sheets(monkeypatch):
    """Record the pages that a test draws."""
    drawn = []

    class Recorded(Sheet):
        def __init__(self, width, height):
            super().__init__(width, height)
            drawn.append(self)

    for module in (figures, grid):
        monkeypatch.setattr(module, "Sheet", Recorded)
    return drawn
