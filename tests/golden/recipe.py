"""Golden weight recipe: numpy only, no torch.

    from recipe import make_weights
    w = make_weights("resnet18_stream", seed=11)      # {name: ndarray}

`names` come from state_dict_keys.json (name -> list of [key, shape]).
"""

import json
import math
import os
import re

import numpy as np

# (regular expression on the key, multiplier): value = value * product of gains
# that match + sum of SHIFTS that match (see tensor()).
GAINS = {
    "resnet18": [
        (r"^bn1\.weight$", 0.67),
        (r"^layer\d\.\d\.bn1\.weight$", 1.18),
        (r"^layer\d\.\d\.bn2\.weight$", 0.23),
        (r"^layer\d\.\d\.downsample\.1\.weight$", 1.06),
        (r"\.to_out\.1\.weight$", 0.96),
        (r"^l3\.to_out", 0.6),
        (r"^fc\.weight$", 0.8),
    ],
    "resnet50": [
        (r"^bn1\.weight$", 0.67),
        (r"^layer\d\.\d\.bn[12]\.weight$", 1.18),
        (r"^layer\d\.\d\.bn3\.weight$", 0.23),
        (r"^layer\d\.\d\.downsample\.1\.weight$", 1.06),
        (r"\.to_out\.1\.weight$", 0.96),
        (r"^l2\.to_out", 0.7),
        (r"^l3\.to_out", 0.25),
        (r"^fc\.weight$", 0.7),
    ],
    "convnext": [
        (r"^classifier\.2\.weight$", 1.7),
    ],
}

# (regular expression on the key, constant added after the gain).
SHIFTS = {
    "resnet18": [
        (r"^bn1\.bias$", -0.09),
        (r"^layer\d\.\d\.bn1\.bias$", -0.48),
        (r"^layer\d\.\d\.bn2\.bias$", 0.08),
        (r"^layer\d\.\d\.downsample\.1\.bias$", -0.13),
    ],
    "resnet50": [
        (r"^bn1\.bias$", -0.09),
        (r"^layer\d\.\d\.bn[12]\.bias$", -0.48),
        (r"^layer\d\.\d\.bn3\.bias$", 0.08),
        (r"^layer\d\.\d\.downsample\.1\.bias$", -0.13),
    ],
    "convnext": [],
}


def family(model):
    """GAINS table of a model name such as "resnet50_stream"."""
    for name in GAINS:
        if model.startswith(name):
            return name
    raise KeyError(model)


def kind_of(key, shape):
    if key.endswith("num_batches_tracked"):
        return "count"
    if key.endswith("running_mean"):
        return "running_mean"
    if key.endswith("running_var"):
        return "running_var"
    if key.endswith("layer_scale"):
        return "layer_scale"
    if key == "cls_token":
        return "cls_token"
    if key.endswith(".bias"):
        return "bias"
    if key.endswith(".weight") and len(shape) == 1:
        return "norm_weight"
    if key.endswith(".weight"):
        return "weight"
    raise ValueError(key)


def gain_of(model, key):
    g = 1.0
    for pattern, value in GAINS[family(model)]:
        if re.search(pattern, key):
            g *= value
    return g


def shift_of(model, key):
    return sum((v for p, v in SHIFTS[family(model)] if re.search(p, key)), 0.0)


def tensor(model, key, shape, index, seed):
    kind = kind_of(key, shape)
    if kind == "count":
        return np.zeros(shape, np.int64)
    z = np.random.default_rng([seed, index]).standard_normal(shape)  # float64
    if kind == "weight":
        v = z * math.sqrt(2.0 / math.prod(shape[1:]))
    elif kind == "norm_weight":
        v = 1.0 + 0.1 * z
    elif kind in ("bias", "running_mean"):
        v = 0.1 * z
    elif kind == "running_var":
        v = np.exp(0.2 * z)
    elif kind == "layer_scale":
        v = 0.3 + 0.1 * z
    elif kind == "cls_token":
        v = 1.0 + 0.5 * z
    v = v * gain_of(model, key) + shift_of(model, key)
    return np.asarray(v).astype(np.float32)


HERE = os.path.dirname(os.path.abspath(__file__))


def make_weights(model, seed, num_classes=1000, keys_file=None):
    """All tensors of `model` as {key: ndarray}.

    `model` is "resnet18_stream", "resnet50_stream", "convnext_tiny_stream",
    "convnext_base_stream", or the same without "_stream" (the GAP baseline:
    the stream model's tensors, restricted to the baseline's keys; the index
    of a key is ALWAYS its position in the sorted key list of the STREAM
    model).  num_classes only changes the shape of the last layer.
    """
    with open(keys_file or os.path.join(HERE, "state_dict_keys.json")) as f:
        table = json.load(f)
    stream = model if model.endswith("_stream") else model + "_stream"
    wanted = {k for k, _ in table[model]}
    head = "classifier.2." if stream.startswith("convnext") else "fc."
    out = {}
    for index, (key, shape) in enumerate(sorted(table[stream])):
        if key not in wanted:
            continue
        shape = tuple(shape)
        if key.startswith(head):
            shape = (num_classes,) + shape[1:]
        out[key] = tensor(stream, key, shape, index, seed)
    return out


if __name__ == "__main__":
    import hashlib
    import sys

    w = make_weights(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1000)
    h = hashlib.sha256()
    for k in sorted(w):
        h.update(k.encode() + w[k].tobytes())
    print(h.hexdigest(), len(w), sum(v.size for v in w.values()))
