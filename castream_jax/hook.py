"""A user's function that hears of a run: its numbers as they are logged, its figures and reports when they are made."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from castream_jax.config import Experiment
from castream_jax.errors import InputError
from castream_jax.importing import import_object

log = logging.getLogger(__name__)

Kind = Literal["begin", "metrics", "files", "end"]


@dataclass(frozen=True)
class Event:
    """What a hook is called with, in this order: one `begin`, any number of `metrics` and `files`, one `end`."""

    kind: Kind
    run: str
    """What is running: "training" or "evaluation"."""
    workdir: Path
    """The same for both, and for a run that goes on: what tells one experiment from another."""
    settings: Mapping[str, Any]
    """The experiment's config, nested."""
    stage: str = ""
    """Of `metrics`: "backbone", "stream", or the name of the evaluation's protocol."""
    step: int = 0
    """Of `metrics` in training; a run that goes on after a kill may tell of a step once more."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of `metrics`: in training as in `metrics.jsonl`; in an evaluation in percent, as "AD/grad_cam/ca"."""
    files: tuple[Path, ...] = ()
    """Of `files`: figures (.png), reports (.html, .json, .md) and rows (.parquet)."""
    failed: bool = False
    """Of `end`: whether the run was stopped or failed."""


class Hook:
    """Tells a user's function of a run; a context manager. Without an address, or in other processes than the first, it
    does nothing.

    What fails at the beginning ends the run, before it has cost anything; what fails later is told once, and the run
    goes on without the hook: a service that is away must not end a training of days.
    """

    def __init__(self, experiment: Experiment, run: str, workdir: Path, speaks: bool = True):
        self._address, self._about = experiment.log.hook, (run, workdir, experiment.to_dict())
        self._function: Callable[[Event], object] | None = None
        if self._address and speaks:
            self._function = import_object("config.log.hook", self._address)
            if not callable(self._function):
                raise InputError(
                    f"config.log.hook {self._address!r} is {type(self._function).__name__}: expected a function of an "
                    "event."
                )

    def tell(self, kind: Kind, **said: Any) -> None:
        """Call the function with an event.

        Raises:
          InputError: it fails at the beginning.
        """
        if self._function is None:
            return
        try:
            self._function(Event(kind, *self._about, **said))
        except Exception as error:  # the function is the user's code
            self._function = None
            reason = f"config.log.hook {self._address!r} fails ({type(error).__name__}: {error})"
            if kind == "begin":
                raise InputError(f"{reason}: mend it, or leave it out with --config.log.hook=''.") from error
            log.warning("%s at %r: it is not called any more; the run goes on.", reason, kind)

    def __enter__(self) -> "Hook":
        self.tell("begin")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.tell("end", failed=kind is not None)
