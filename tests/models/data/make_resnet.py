"""Writes resnet.npz: what torchvision's ResNeXts and timm's ResNet-Ds compute with the recipe's weights.

Needs the extra `torch`.

python -m tests.models.data.make_resnet
"""

from pathlib import Path

import numpy as np

from tests.models.data.lite_recipe import make_images
from tests.models.data.resnet_recipe import CLASSES, DEPTHS, EVERY, SIZES, SPECS, make_weights
from tests.torch_models import import_timm, import_torch, import_torchvision, record_maps


def build(name: str):
    """Return torch's own network of a spec of the recipe."""
    torchvision, timm = import_torchvision(), import_timm()
    if name.startswith("resnext"):
        module = torchvision.models.resnet
        per_group = 4 if name == "resnext" else 8
        return module.ResNet(module.Bottleneck, list(DEPTHS), CLASSES, groups=32, width_per_group=per_group)
    module = timm.models.resnet
    block = module.BasicBlock if name.endswith("basic") else module.Bottleneck
    return module.ResNet(block, DEPTHS, CLASSES, stem_width=32, stem_type="deep", avg_down=True)


def main() -> None:
    """Build every network, and write its outputs."""
    torch = import_torch()
    found = {}
    for name in SPECS:
        model = build(name).eval()
        state = {key: tuple(value.shape) for key, value in model.state_dict().items() if "num_batches" not in key}
        weights = {key: torch.from_numpy(array) for key, array in make_weights(state).items()}
        assert not model.load_state_dict(weights, strict=False).unexpected_keys
        for size in SIZES:
            logits, maps = record_maps(model, make_images(*size))
            found[f"{name} {size[0]}"] = logits
        found |= {f"{name} {tap}": feature_map[0, ..., ::EVERY] for tap, feature_map in maps.items()}
    np.savez_compressed(Path(__file__).with_name("resnet.npz"), **found)


if __name__ == "__main__":
    main()
