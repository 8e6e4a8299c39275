"""What is said once, however often a dataset is opened."""

import logging

_SAID: set[str] = set()


def say_once(log: logging.Logger, message: str, about: str = "") -> None:
    """Warn of something that was guessed, unless the process has done so.

    Args:
      log: of the module that speaks.
      message: a sentence.
      about: of all messages about this, only the first is said; empty: the message itself.
    """
    key = about or message
    if key not in _SAID:
        _SAID.add(key)
        log.warning("%s", message)
