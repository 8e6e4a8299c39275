"""ResNet-50 with CA-Stream on Oxford-IIIT Pets: 37 breeds of cats and dogs, with masks.

    castream prepare oxford_iiit_pet
    python train.py --config configs/pets_resnet50_ca.py
    python evaluate.py --config configs/pets_resnet50_ca.py

A classifier of the 37 classes is fitted to the frozen network of ImageNet, then the stream is trained. Maps are
measured against masks of the animals, whose border counts as animal.

The reference's: the augmentation, and pictures squashed to 224x224. How it is to be trained on this dataset is not
known to us; on ImageNet, the stream by SGD, rate 0.1. Ours, not tuned: the classifier, optimizer, rate and epochs.
Evaluation: at most 2,656 forward passes an image (2,048 of them Score-CAM's), 9.7 million in all.
Training: 30 passes over 3,680 images. Time: not measured.
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="pets_resnet50_ca",
        weights="resnet50.tv_in1k",
        replace_classifier=True,
        model=ModelConfig(name="resnet50"),
        data=DataConfig(
            name="oxford_iiit_pet",
            validation_split="test",
            orientation="stored",  # this and the next as the reference
            transparency="drop",
        ),
        stream=StageConfig(
            epochs=30, batch_size=64, optimizer="adamw", learning_rate=1e-3, schedule="cosine", warmup=0.1
        ),
        evaluation=EvaluationConfig(split="test", batch_size=16),
    )
    return ConfigDict(experiment.to_dict())
