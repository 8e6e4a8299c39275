"""ConvNeXt-B with global average pooling on ImageNet: the table's GAP rows, without any training.

    python evaluate.py --config configs/convnext_gap.py

Published, ImageNet validation, 224x224, squashed:

                  AD     AG     AI      I      D       GAP accuracy 83.72, CA 83.51
    Grad-CAM    GAP 33.72   2.43  15.25  52.85  29.57
    Grad-CAM++  GAP 34.01   2.37  15.60  52.83  29.17
    Score-CAM   GAP 43.55   2.23  15.67  50.96  39.49

Evaluation: at most 1,412 forward passes an image (1,024 of them Score-CAM's), 71 million in all. Time: not measured.
The weights are read from torch's cache, where torchvision puts them:
python -c "import torchvision; torchvision.models.convnext_base(weights='IMAGENET1K_V1')"
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="convnext_gap",
        weights="convnext_base.tv_in1k",
        model=ModelConfig(name="convnext_base", pooling="gap"),
        data=DataConfig(orientation="stored", transparency="drop"),  # as the reference
        stream=StageConfig(epochs=0),
        evaluation=EvaluationConfig(
            split="validation", batch_size=16, attributions=("grad_cam", "grad_cam_pp", "score_cam")
        ),
    )
    return ConfigDict(experiment.to_dict())
