"""ResNet-50 with CA-Stream on ImageNet: both poolings of one frozen network.

    python train.py --config configs/resnet50_ca.py
    python evaluate.py --config configs/resnet50_ca.py

Published, ImageNet validation, 224x224, squashed:

                  AD     AG     AI      I      D       GAP accuracy 74.55, CA 74.70
    Grad-CAM    GAP 13.04  17.56  44.47  72.57  13.24
                CA  12.54  22.67  48.56  75.53  13.50
    Grad-CAM++  GAP 13.79  15.87  42.08  72.32  13.33
                CA  13.99  19.29  44.60  75.21  13.78
    Score-CAM   GAP  8.83  17.97  48.46  71.99  14.31
                CA   7.09  23.65  54.20  74.91  14.68

The reference's recipe: SGD, rate 0.1 divided by 10 at epochs 30 and 60, momentum 0.9, weight decay 1e-4, batch 256.
Evaluation: at most 2,656 forward passes an image (2,048 of them Score-CAM's), 133 million in all.
Training: 90 passes over 1,281,167 images, 115 million forward passes. Time: not measured.
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="resnet50_ca",
        weights="resnet50.tv_in1k",
        model=ModelConfig(name="resnet50"),
        data=DataConfig(orientation="stored", transparency="drop"),  # as the reference
        evaluation=EvaluationConfig(split="validation", batch_size=16),
    )
    return ConfigDict(experiment.to_dict())
