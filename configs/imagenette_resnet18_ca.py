"""ResNet-18 with CA-Stream on Imagenette, ten classes of ImageNet: a first real run.

    python train.py --config configs/imagenette_resnet18_ca.py
    python evaluate.py --config configs/imagenette_resnet18_ca.py

The frozen classifier keeps ImageNet's rows of the ten classes. Imagenette (1.5 GB) must be prepared once:

    castream prepare imagenette

Training: 10 passes over 9,469 images. Evaluation: at most 1,120 forward passes an image (512 of them Score-CAM's), on
256 images. Meant for less than an hour on a free accelerator; not measured.
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig

# Tench, English springer, cassette player, chain saw, church, French horn, garbage truck, gas pump, golf ball,
# parachute: their places among ImageNet's 1,000 classes, in Imagenette's order.
CLASSES = (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="imagenette_resnet18_ca",
        weights="resnet18.tv_in1k",
        classes=CLASSES,
        model=ModelConfig(name="resnet18"),
        data=DataConfig(name="imagenette", crop_scale=0.35, orientation="stored", transparency="drop"),
        stream=StageConfig(
            epochs=10, batch_size=64, optimizer="adamw", learning_rate=1e-3, schedule="cosine", warmup=0.1
        ),
        evaluation=EvaluationConfig(split="validation", num_images=256, batch_size=16),
    )
    return ConfigDict(experiment.to_dict())
