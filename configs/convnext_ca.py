"""ConvNeXt-B with CA-Stream on ImageNet: both poolings of one frozen network.

    python train.py --config configs/convnext_ca.py
    python evaluate.py --config configs/convnext_ca.py

Published, ImageNet validation, 224x224, squashed:

                  AD     AG     AI      I      D       GAP accuracy 83.72, CA 83.51
    Grad-CAM    GAP 33.72   2.43  15.25  52.85  29.57
                CA  19.45  13.96  32.89  86.38  45.29
    Grad-CAM++  GAP 34.01   2.37  15.60  52.83  29.17
                CA  36.69   8.00  21.95  85.39  53.42
    Score-CAM   GAP 43.55   2.23  15.67  50.96  39.49
                CA  23.51  11.04  27.35  83.41  60.53

The reference's recipe: SGD, rate 0.1 divided by 10 at epochs 30 and 60, momentum 0.9, weight decay 1e-4, batch 256.
Evaluation: at most 1,632 forward passes an image (1,024 of them Score-CAM's), 82 million in all.
Training: 90 passes over 1,281,167 images, 115 million forward passes. Time: not measured.
The weights are read from torch's cache, where torchvision puts them:
python -c "import torchvision; torchvision.models.convnext_base(weights='IMAGENET1K_V1')"
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="convnext_ca",
        weights="convnext_base.tv_in1k",
        model=ModelConfig(name="convnext_base"),
        data=DataConfig(orientation="stored", transparency="drop"),  # as the reference
        evaluation=EvaluationConfig(split="validation", batch_size=16),
    )
    return ConfigDict(experiment.to_dict())
