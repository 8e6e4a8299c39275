"""Writes keys.json: the keys and shapes of torchvision's, timm's, transformers' and efficientnet_pytorch's own models.

Needs the extra `torch`, transformers and efficientnet_lite_pytorch.

python -m tests.weights.data.make_keys
"""

import json
from pathlib import Path

from castream_jax.models.classifier import ARCHITECTURES
from tests.torch_models import build_lite, build_transformers, import_timm, import_torch, import_torchvision

OURS = ("resnet18_small", "efficientnet_lite0_symmetric")
"""Of no other library, or with the arrays of another one."""


def main() -> None:
    """Build every model without memory, and write its keys."""
    torch, torchvision, timm = import_torch(), import_torchvision(), import_timm()
    found = {}
    for name in ARCHITECTURES:
        if name in OURS or name.startswith("cifar"):
            continue
        with torch.device("meta"):
            if name.startswith("efficientnet"):
                models = {"efficientnet_pytorch": build_lite(name), "timm": timm.create_model(f"tf_{name}")}
            elif name.endswith("d") and name.startswith("resnet"):
                models = {"timm": timm.create_model(name)}
            else:
                models = {"torchvision": getattr(torchvision.models, name)(), "timm": timm.create_model(name)}
                if not name.startswith(("wide", "resnext")):
                    models["transformers"] = build_transformers(name, num_classes=1000)
        for scheme, model in models.items():
            found[f"{scheme} {name}"] = {
                key: list(value.shape) for key, value in model.state_dict().items() if "num_batches" not in key
            }
    lines = [f"{json.dumps(name)}: {json.dumps(keys, separators=(',', ':'))}" for name, keys in found.items()]
    (Path(__file__).parent / "keys.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
