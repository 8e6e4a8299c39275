"""What huggingface_hub says of every time that it asks the hub again, in one line."""

import contextlib
import logging
from collections.abc import Iterator

from castream_jax.weights.bounds import short

LOG = logging.getLogger(__name__)
LOUD = ("huggingface_hub.utils._http", "huggingface_hub.file_download")
"""Its loggers that warn of connections: twice for every attempt, of which there are six, and for every request."""


class Once(logging.Filter):
    """Says the first warning in our words, and drops the others."""

    def __init__(self, address: str):
        super().__init__()
        self._address, self._is_said = address, False

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is shown as it is: it is no warning of a connection."""
        message = record.getMessage()
        if record.levelno < logging.WARNING or not any(word in message for word in ("requesting", "etry", "resume")):
            return True
        if not self._is_said:
            self._is_said = True
            LOG.warning(
                "%s: the hub does not answer (%s). It is asked again, for about a minute.",
                self._address,
                short(message.partition(" thrown while")[0]),
            )
        return False


@contextlib.contextmanager
def told_once(address: str) -> Iterator[None]:
    """Say once, while what is inside downloads, that the hub is asked again."""
    once, loggers = Once(address), [logging.getLogger(name) for name in LOUD]
    for logger in loggers:
        logger.addFilter(once)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(once)
