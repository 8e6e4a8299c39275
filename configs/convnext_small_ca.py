"""ConvNeXt-S with CA-Stream on ImageNet.

    python train.py --config configs/convnext_small_ca.py
    python evaluate.py --config configs/convnext_small_ca.py

No published table for this network.

The reference's recipe: SGD, rate 0.1 divided by 10 at epochs 30 and 60, momentum 0.9, weight decay 1e-4, batch 256.
Evaluation: at most 1,376 forward passes an image (768 of them Score-CAM's), 69 million in all.
Training: 90 passes over 1,281,167 images, 115 million forward passes. Time: not measured.
The weights are read from torch's cache, where torchvision puts them:
python -c "import torchvision; torchvision.models.convnext_small(weights='IMAGENET1K_V1')"
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="convnext_small_ca",
        weights="convnext_small.tv_in1k",
        model=ModelConfig(name="convnext_small"),
        data=DataConfig(orientation="stored", transparency="drop"),  # as the reference
        evaluation=EvaluationConfig(split="validation", batch_size=16),
    )
    return ConfigDict(experiment.to_dict())
