"""ResNet-50 with CA-Stream on PASCAL VOC 2012, whose pictures show several classes each.

    castream prepare voc/2012
    python train.py --config configs/voc2012_resnet50_ca.py
    python evaluate.py --config configs/voc2012_resnet50_ca.py

What is downloaded will do as well: --config.data.name=FOLDER, that holds VOCdevkit, in place of the first command.

Each class has a score of its own, by a sigmoid. A classifier of the 20 classes is fitted to the frozen network, then
the stream is trained; mean average precision stands for accuracy. Each class of a picture is explained by itself,
against its boxes; --config.data.truth=masks --config.evaluation.split=Segmentation/val takes masks, of what is
downloaded.

The reference's: the augmentation, and pictures squashed to 224x224. How it is to be trained on this dataset is not
known to us; on ImageNet, the stream by SGD, rate 0.1. Ours, not tuned: the classifier, optimizer, rate and epochs.
Evaluation: at most 2,656 forward passes an image (2,048 of them Score-CAM's), for each of its classes.
Training: 30 passes over 5,717 images. Time: not measured.
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="voc2012_resnet50_ca",
        weights="resnet50.tv_in1k",
        replace_classifier=True,
        model=ModelConfig(name="resnet50", score="sigmoid"),
        data=DataConfig(name="voc/2012", orientation="stored", transparency="drop"),  # as the reference
        stream=StageConfig(
            epochs=30, batch_size=64, optimizer="adamw", learning_rate=1e-3, schedule="cosine", warmup=0.1
        ),
        evaluation=EvaluationConfig(split="validation", batch_size=16),
    )
    return ConfigDict(experiment.to_dict())
