"""A small experiment that trains in seconds."""

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig


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
