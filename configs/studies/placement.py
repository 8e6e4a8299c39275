"""Which block matters? The stream on all taps, on fewer, on one, with more to learn, and other poolings: on the demo.

    castream study configs/studies/placement.py

One run: the demo's small ResNet from scratch, then twelve poolings from the same features; then one evaluation of all
of them, whose passes are shared.
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig

POOLINGS = (
    "ca",
    "ca(trained=false)",
    "ca(taps=stage3+stage4)",
    "ca(taps=stage4)",
    "ca(taps=stage3)",
    "ca(taps=stage1+stage2)",
    "ca(keys_values=learned)",
    "ca(feed_forward=true)",
    "simpool",
    "ep(queries=8)",
    "gem",
    "max",
)


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="placement",
        model=ModelConfig(name="resnet18_small", pooling=POOLINGS),
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
        evaluation=EvaluationConfig(
            split="test",
            num_images=256,
            batch_size=32,
            attributions=("grad_cam", "attention"),
            null_maps=("random",),
        ),
    )
    return ConfigDict(experiment.to_dict())
