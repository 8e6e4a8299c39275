"""ConvNeXt-B with CA-Stream on ImageNet, by the reference's second recipe.

    python train.py --config configs/convnext_ca_adamw.py
    python evaluate.py --config configs/convnext_ca_adamw.py

AdamW, rate 9e-3, weight decay 0.3, 10 epochs of linear warm-up, then cosine over 100 in all, label smoothing 0.11,
mixup 0.2 or cutmix 1.0 for each batch, moving average of the parameters (its decay is not stated: 0.9999 here).
Published numbers are of the SGD recipe: configs/convnext_ca.py, which also says what training and evaluation cost.
"""

from ml_collections import ConfigDict

from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig, StageConfig


def get_config() -> ConfigDict:
    """Return the experiment."""
    experiment = Experiment(
        name="convnext_ca_adamw",
        weights="convnext_base.tv_in1k",
        model=ModelConfig(name="convnext_base"),
        data=DataConfig(orientation="stored", transparency="drop"),  # as the reference
        stream=StageConfig(
            epochs=100,
            optimizer="adamw",
            learning_rate=9e-3,
            weight_decay=0.3,
            schedule="cosine",
            warmup=0.1,
            label_smoothing=0.11,
            mixup=0.2,
            cutmix=1.0,
            ema=0.9999,
        ),
        evaluation=EvaluationConfig(split="validation", batch_size=16),
    )
    return ConfigDict(experiment.to_dict())
