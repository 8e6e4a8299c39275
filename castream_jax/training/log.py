"""What a run says while it runs: a progress bar, JSON lines, TensorBoard events."""

import json
import time
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tqdm import tqdm


class TrainingLog:
    """Writes one stage's progress to the terminal, `metrics.jsonl` and `tensorboard/`; a context manager."""

    def __init__(self, workdir: Path, stage: str, first_step: int, total_steps: int):
        self.stage = stage
        self._lines = open(workdir / "metrics.jsonl", "a")  # noqa: SIM115  closed by __exit__
        self._events = SummaryWriter(str(workdir / "tensorboard" / stage))
        self._bar = tqdm(total=total_steps, initial=first_step, desc=stage, unit="step", mininterval=1.0)
        self._last = (time.monotonic(), first_step)

    def write_step(self, step: int, metrics: dict[str, float], batch_size: int) -> None:
        """Record training metrics after `step` steps; the rate is since the last call."""
        now, (then, since) = time.monotonic(), self._last
        rate = (step - since) * batch_size / max(now - then, 1e-9)
        self._last = (now, step)
        self._write(step, metrics | {"images_per_second": rate})
        self._bar.set_postfix_str(
            f"loss {metrics['loss']:.3f}, accuracy {metrics['accuracy']:.1%}, {rate:.0f} images/s", refresh=False
        )
        self._bar.update(step - self._bar.n)

    def write_validation(self, step: int, accuracy: dict[str, float]) -> None:
        """Record validation accuracies (fractions, by pooling)."""
        self._write(step, {f"validation_accuracy_{pooling}": value for pooling, value in accuracy.items()})
        shown = ", ".join(f"{pooling} {value:.1%}" for pooling, value in accuracy.items())
        self._bar.write(f"{self.stage} step {step}: validation accuracy {shown}")
        self._last = (time.monotonic(), step)

    def _write(self, step: int, metrics: dict[str, Any]) -> None:
        self._lines.write(json.dumps({"stage": self.stage, "step": step} | metrics) + "\n")
        self._lines.flush()
        for name, value in metrics.items():
            self._events.add_scalar(name, value, step)

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        self._events.close()
        self._lines.close()
