"""ResNet-18 with CA-Stream on ImageNet.

    python train.py --config configs/resnet18_ca.py
    python evaluate.py --config configs/resnet18_ca.py

No published table for this network.

The reference's recipe: SGD, rate 0.1 divided by 10 at epochs 30 and 60, momentum 0.9, weight decay 1e-4, batch 256.
Evaluation: at most 1,120 forward passes an image (512 of them Score-CAM's), 56 million in all.
Training: 90 passes over 1,281,167 images, 115 million forward passes. Time: not measured.
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="resnet18_ca",
        weights="resnet18.tv_in1k",
        model=ModelConfig(name="resnet18"),
        data=DataConfig(orientation="stored", transparency="drop"),  # as the reference
        evaluation=EvaluationConfig(split="validation", batch_size=16),
    )
    return ConfigDict(experiment.to_dict())
