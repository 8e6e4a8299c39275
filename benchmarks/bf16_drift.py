"""What bfloat16 in the backbone changes: logits, maps and metrics against float32, on the golden weights.

    python -m benchmarks.bf16_drift [resnet18 resnet50 convnext_tiny ...] [--score_cam]

Prints a Markdown table. Four photographs, the class of the largest float32 logit, CA pooling. --score_cam adds
Score-CAM on the first photograph, one forward pass for each channel and dtype.
"""

import sys

import numpy as np

import castream_jax as ca
from benchmarks.comparison import largest
from tests import goldens

NETWORKS = ("resnet18", "resnet50", "convnext_tiny")
METHODS = ("grad_cam", "grad_cam_pp", "attention")


def load(name: str, dtype: str) -> ca.Classifier:
    """Return a network with the golden weights, computing in a dtype."""
    return ca.load_torch_weights(ca.create_model(name, dtype=dtype), goldens.state_dict(name, "ca", 1000))


def main(names: list[str], score_cam: bool) -> None:
    """Print the table."""
    images = np.asarray(goldens.images()[:4])
    print("| network | logits, of their scale | same class | " + " | ".join(METHODS) + " | score_cam | AD | I | D |")
    print("|---|---:|---:|" + "---:|" * (len(METHODS) + 4))
    for name in names:
        f32, bf16 = load(name, "float32"), load(name, "bfloat16")
        exact, drifted = np.asarray(f32(images)), np.asarray(bf16(images))
        labels = exact.argmax(1)
        cells = [f"{largest(exact, drifted) / np.abs(exact).max():.1e}", f"{(drifted.argmax(1) == labels).sum()} of 4"]
        maps = {method: ca.attribute(f32, images, labels, method) for method in METHODS}
        cells += [f"{largest(maps[method], ca.attribute(bf16, images, labels, method)):.3f}" for method in METHODS]
        one = images[:1], labels[:1], "score_cam"
        cells.append(
            f"{largest(ca.attribute(f32, *one), ca.attribute(bf16, *one)):.3f}" if score_cam else "not measured"
        )
        f32_scores = ca.evaluate_maps(f32, images, labels, maps["grad_cam"])
        bf16_scores = ca.evaluate_maps(bf16, images, labels, maps["grad_cam"])
        cells += [f"{largest(f32_scores[k], bf16_scores[k]):.4f}" for k in ("average_drop", "insertion", "deletion")]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main([name for name in sys.argv[1:] if not name.startswith("--")] or list(NETWORKS), "--score_cam" in sys.argv)
