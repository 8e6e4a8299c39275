"""A small experiment that trains in seconds, and one that is killed on its way."""

import contextlib
from collections.abc import Iterator

import pytest

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig
from castream_jax.training.log import TrainingLog


def small_experiment(directory: str, **changes: object) -> Experiment:
    """Return an experiment on the small demo set: 3 steps of each stage in an epoch."""
    stage = StageConfig(epochs=2, batch_size=32, optimizer="adamw", learning_rate=1e-3, schedule="cosine")
    values: dict = {
        "name": "small",
        "model": ModelConfig(name="resnet18_small"),
        "data": DataConfig(name="castream_demo", directory=directory, image_size=32, crop_scale=0.8, flip=False),
        "backbone": stage,
        "stream": stage,
        "evaluation": EvaluationConfig(split="test", num_images=10, batch_size=8, chunk=32, num_figures=3),
    }
    return Experiment(**(values | changes))


class Killed(Exception):
    """Stands for the end of a process."""


@contextlib.contextmanager
def killed_in_the_second_epoch() -> Iterator[None]:
    """Stop the stream's training after its first epoch, as a killed run is; fails if what is within goes on."""
    real = TrainingLog.add

    def add(self, step, *rest):
        if self.stage == "stream" and step > 4:
            raise Killed
        return real(self, step, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingLog, "add", add)
        with pytest.raises(Killed):
            yield
