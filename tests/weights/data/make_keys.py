"""Writes keys.json: the keys and shapes of torchvision's, timm's and transformers' own models.

Needs the extra `torch`, and transformers.

python -m tests.weights.data.make_keys
"""

import json
from pathlib import Path

from castream_jax.models.classifier import ARCHITECTURES
from tests.torch_models import build_transformers, import_timm, import_torch, import_torchvision


def main() -> None:
    """Build every model without memory, and write its keys."""
    torch, torchvision, timm = import_torch(), import_torchvision(), import_timm()
    found = {}
    for name in ARCHITECTURES:
        if name == "resnet18_small":
            continue
        with torch.device("meta"):
            models = {"torchvision": getattr(torchvision.models, name)(), "timm": timm.create_model(name)}
            models["transformers"] = build_transformers(name, num_classes=1000)
        for scheme, model in models.items():
            found[f"{scheme} {name}"] = {
                key: list(value.shape) for key, value in model.state_dict().items() if "num_batches" not in key
            }
    lines = [f"{json.dumps(name)}: {json.dumps(keys, separators=(',', ':'))}" for name, keys in found.items()]
    (Path(__file__).parent / "keys.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
