"""ResNet-50 with global average pooling on ImageNet: the table's GAP rows, without any training.

    python evaluate.py --config configs/resnet50_gap.py

Published, ImageNet validation, 224x224, squashed:

                  AD     AG     AI      I      D       GAP accuracy 74.55, CA 74.70
    Grad-CAM    GAP 13.04  17.56  44.47  72.57  13.24
    Grad-CAM++  GAP 13.79  15.87  42.08  72.32  13.33
    Score-CAM   GAP  8.83  17.97  48.46  71.99  14.31

Evaluation: at most 2,436 forward passes an image (2,048 of them Score-CAM's), 122 million in all. Time: not measured.
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="resnet50_gap",
        weights="resnet50.tv_in1k",
        model=ModelConfig(name="resnet50", pooling="gap"),
        data=DataConfig(orientation="stored", transparency="drop"),  # as the reference
        stream=StageConfig(epochs=0),
        evaluation=EvaluationConfig(
            split="validation", batch_size=16, attributions=("grad_cam", "grad_cam_pp", "score_cam")
        ),
    )
    return ConfigDict(experiment.to_dict())
