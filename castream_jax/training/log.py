"""What a run says while it runs: a progress bar, JSON lines, TensorBoard events."""

import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8
from tensorboardX import SummaryWriter
from tqdm import tqdm

from castream_jax.hook import Hook
from castream_jax.storage.replacement import replacing

log = logging.getLogger(__name__)


class NotFinite(Exception):
    """A loss, a gradient or a parameter is infinite or not a number."""

    def __init__(self, step: int, name: str, value: float):
        super().__init__(step, name, value)
        self.step, self.name, self.value = step, name, value


class TrainingLog:
    """Writes one stage's progress to the terminal, `metrics.jsonl`, `tensorboard/` and a hook; a context manager.

    A resumed stage takes back the lines that a stopped run wrote after its last checkpoint, so that every step is
    there once. Of many processes, only the first one writes.
    """

    def __init__(self, workdir: Path, stage: str, first_step: int, total_steps: int, batch_size: int, hook: Hook):
        self.stage, self._batch_size, self._hook = stage, batch_size, hook
        self._writes = jax.process_index() == 0
        self._pending: dict[int, dict[str, jax.Array]] = {}
        self._since = time.monotonic()
        self.seconds, self.timed_steps = 0.0, 0
        """Time of the steps after the first, which compiles; without validation and checkpoints."""
        self._bar = tqdm(
            total=total_steps, initial=first_step, desc=stage, unit="step", mininterval=1.0, disable=not self._writes
        )
        self._events: SummaryWriter | None = None
        if self._writes:
            self._path = workdir / "metrics.jsonl"
            take_back_lines(self._path, stage, first_step)
            self._lines = open(self._path, "a")  # noqa: SIM115  closed by __exit__
            self._events = SummaryWriter(str(workdir / "tensorboard" / stage), purge_step=first_step + 1)

    @property
    def images_per_second(self) -> float | None:
        """Of this run, or None before its second step."""
        return self.timed_steps * self._batch_size / self.seconds if self.seconds else None

    def add(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Keep the metrics of a step, which may still be running, until `flush`."""
        self._pending[step] = metrics

    def flush(self, first: bool = False) -> None:
        """Wait for the steps since the last call, and record the means of their metrics.

        Args:
          first: these steps compiled the program, and do not count for the rate.

        Raises:
          NotFinite: a metric of one of these steps is infinite or not a number; names the first one.
        """
        if not self._pending:
            return
        steps = {step: jax.tree.map(float, metrics) for step, metrics in jax.device_get(self._pending).items()}
        self._pending = {}
        for step, metrics in steps.items():
            for name, value in metrics.items():
                if not math.isfinite(value):
                    raise NotFinite(step, name, value)
        last = max(steps)
        means = {name: sum(metrics[name] for metrics in steps.values()) / len(steps) for name in steps[last]}
        seconds = time.monotonic() - self._since
        rate = len(steps) * self._batch_size / max(seconds, 1e-9)
        if not first:
            self.seconds += seconds
            self.timed_steps += len(steps)
            means["images_per_second"] = rate
        self._write(last, means)
        shown = [f"{name.replace('_', ' ')} {value:.3f}" for name, value in means.items() if name.startswith("loss")]
        shares = {name: value for name, value in means.items() if name.startswith("accuracy")}
        shown += [f"{name.replace('_', ' ')} {value:.1%}" for name, value in shares.items()]
        self._bar.set_postfix_str(f"{', '.join(shown)}, {rate:.0f} images/s", refresh=False)
        self._bar.update(last - self._bar.n)
        self.resume_clock()

    def write_validation(
        self, step: int, accuracy: dict[str, float], measure: str = "accuracy", top5: dict[str, float] | None = None
    ) -> None:
        """Record validation accuracies (fractions, by pooling), or what `measure` is; `top5` beside them."""
        said = {f"validation_{measure}_{pooling}": value for pooling, value in accuracy.items()}
        self._write(step, said | {f"validation_top5_{pooling}": value for pooling, value in (top5 or {}).items()})
        shown = ", ".join(f"{pooling} {value:.1%}" for pooling, value in accuracy.items())
        if self._writes:
            self._bar.write(f"{self.stage} step {step}: validation {measure.replace('_', ' ')} {shown}")

    def write_pictures(self, step: int, pictures: dict[str, UInt8[np.ndarray, "H W 3"]]) -> None:
        """Show pictures in TensorBoard, by name."""
        if self._events is not None:
            for name, pixels in pictures.items():
                self._events.add_image(name, pixels, step, dataformats="HWC")

    def has_validation(self, step: int) -> bool:
        """Return whether the validation accuracies after a step were recorded; in other processes than the first, no.

        For a run that goes on: an earlier one may have been killed between the checkpoint and the measurement.
        """
        lines = map(json.loads, self._path.read_text().splitlines()) if self._writes else ()
        own = (line for line in lines if (line["stage"], line["step"]) == (self.stage, step))
        return any(name.startswith("validation_") for line in own for name in line)

    def resume_clock(self) -> None:
        """Count time from now on: what came since `flush` was no training."""
        self._since = time.monotonic()

    def _write(self, step: int, metrics: dict[str, Any]) -> None:
        if not self._writes:
            return
        self._lines.write(json.dumps({"stage": self.stage, "step": step} | metrics) + "\n")
        self._lines.flush()
        # The writer's thread ends when the disk is full, and handing it more would wait for ever.
        if self._events and not self._events.file_writer.event_writer._worker.is_alive():
            log.warning("TensorBoard's events cannot be written any more; metrics.jsonl goes on")
            self._events = None
        if self._events:
            for name, value in metrics.items():
                self._events.add_scalar(name, value, step)
        self._hook.tell("metrics", stage=self.stage, step=step, metrics=metrics)

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._writes:
            if self._events:
                self._events.close()
            self._lines.close()


def take_back_lines(path: Path, stage: str, step: int) -> None:
    """Remove a stage's lines after `step` from a log, and a last line that was cut off."""
    if not path.exists():
        return
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            entry = json.loads(line)
            gone = entry["stage"] == stage and entry["step"] > step
        except (ValueError, KeyError, TypeError):
            gone = True
        if line.endswith(b"\n") and not gone:
            kept.append(line)
    with replacing(path) as new:
        new.write_bytes(b"".join(kept))
