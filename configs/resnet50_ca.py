"""ResNet-50 with CA-Stream on ImageNet, the reference's recipe (SGD, 90 epochs).

    python train.py --config configs/resnet50_ca.py --config.model.weights=resnet50.safetensors
    python evaluate.py --config configs/resnet50_ca.py --config.model.weights=resnet50.safetensors

Published: accuracy 74.70 (GAP 74.55); Score-CAM AD 7.09 (GAP 8.83). Not measured here.
"""

from ml_collections import ConfigDict

from castream_jax.config import EvaluationConfig, Experiment, ModelConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="resnet50_ca",
        model=ModelConfig(name="resnet50"),
        evaluation=EvaluationConfig(split="validation"),
    )
    return ConfigDict(experiment.to_dict())
