"""Demo: handwritten digits on photographs, a small ResNet from scratch, then its CA-Stream.

python train.py --config configs/demo.py
python evaluate.py --config configs/demo.py
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="demo",
        model=ModelConfig(name="resnet18_small"),
        data=DataConfig(name="castream_demo", image_size=96, crop_scale=0.8, flip=False, brightness=0.3),
        backbone=StageConfig(
            epochs=10,
            batch_size=32,
            optimizer="adamw",
            learning_rate=4e-3,
            weight_decay=0.02,
            schedule="cosine",
            warmup=0.15,
        ),
        stream=StageConfig(
            epochs=4,
            batch_size=64,
            optimizer="adamw",
            learning_rate=1e-3,
            weight_decay=0.0,
            schedule="cosine",
            warmup=0.05,
        ),
        evaluation=EvaluationConfig(split="test", num_images=256, batch_size=32),
    )
    return ConfigDict(experiment.to_dict())
