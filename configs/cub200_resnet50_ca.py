"""ResNet-50 with CA-Stream on CUB-200-2011: 200 kinds of birds, after fine-tuning the network to them.

    castream prepare caltech_birds2011
    python train.py --config configs/cub200_resnet50_ca.py
    python evaluate.py --config configs/cub200_resnet50_ca.py

A classifier of the 200 classes is fitted to the network of ImageNet, the whole GAP network is fine-tuned from there,
and the stream is trained on what comes of it, which stays as it is. Maps are measured against the birds' boxes;
--config.data.truth=masks takes their masks.

The reference's: the augmentation, pictures squashed to 224x224, and SGD with momentum 0.9, weight decay 1e-4 and a rate
that is divided by 10 twice. How it is to be trained on this dataset is not known to us. Ours, not tuned: fine-tuning,
and the rate, epochs and batches of both stages, for a set that is 200 times smaller than ImageNet.
Evaluation: at most 2,656 forward passes an image (2,048 of them Score-CAM's), 15.4 million in all.
Training: 120 passes over 5,994 images, 30 of them forward and back. Time: not measured.
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="cub200_resnet50_ca",
        weights="resnet50.tv_in1k",
        replace_classifier=True,
        model=ModelConfig(name="resnet50"),
        data=DataConfig(
            name="caltech_birds2011",
            validation_split="test",
            truth="boxes",
            orientation="stored",  # this and the next as the reference
            transparency="drop",
        ),
        backbone=StageConfig(epochs=30, batch_size=32, learning_rate=0.01),
        stream=StageConfig(epochs=90, batch_size=64, learning_rate=0.02),
        evaluation=EvaluationConfig(split="test", batch_size=16),
    )
    return ConfigDict(experiment.to_dict())
