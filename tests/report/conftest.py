"""What several tests of rows and reports start from."""

import pyarrow as pa
import pytest

from tests.evaluation.synthetic import create_rows


@pytest.fixture
def rows() -> pa.Table:
    """Return rows of five images under every attribution and pooling."""
    return create_rows()
