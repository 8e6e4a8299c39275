"""Writes the weights of a trained network as .safetensors, for PyTorch.

    python tools/export_weights.py --config configs/demo.py --workdir runs/demo --output demo.safetensors

A CA network has torchvision's names (EfficientNet-Lite those of efficientnet_pytorch), and the reference's for its
stream; --pooling=gap leaves the stream out, and --names=timm, --names=facebookresearch (ConvNeXt, GAP) or
--names=transformers (GAP) renames. `ca.load_weights` reads
the file back to the bit, and from its header the network's preprocessing, normalisation and class names.
"""

import json
import sys
from pathlib import Path

from safetensors.numpy import save_file

from castream_jax.cli.command import run
from castream_jax.config import Experiment
from castream_jax.data.source import open_split
from castream_jax.errors import InputError, choose
from castream_jax.experiment.loading import load_trained
from castream_jax.models.description import describe_network
from castream_jax.weights.convert import export_weights
from castream_jax.weights.formats import DESCRIPTION
from castream_jax.weights.names import default_scheme, find_scheme


def main(experiment: Experiment, workdir: Path, output: str, names: str, pooling: str) -> None:
    """Read the trained network, and write its weights."""
    if not output.endswith(".safetensors"):
        raise InputError(f"--output is {output!r}: expected a file that ends with .safetensors.")
    if Path(output).exists():
        raise InputError(f"--output {output} exists already: choose another name, or remove it first.")
    scheme = find_scheme(names or default_scheme(experiment.model.name), experiment.model.name).name
    source = open_split(experiment.data, experiment.evaluation.split)
    model = load_trained(experiment, workdir, source.num_classes)
    networks = model.poolings()
    chosen = networks[choose("--pooling", pooling or model.pooling, networks)]
    weights = export_weights(chosen, scheme)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, output, metadata={DESCRIPTION: json.dumps(describe_network(chosen))})
    print(f"{output}: {len(weights)} arrays of {chosen.name} with pooling {chosen.pooling}", file=sys.stderr)


if __name__ == "__main__":
    run(
        main,
        "Writes the weights of a trained network as .safetensors, for PyTorch.",
        output="the file to write",
        names="the naming scheme: torchvision or efficientnet_pytorch (the default), timm, facebookresearch, "
        "transformers, castream_jax",
        pooling="one of the network's, as gap or ca (default: the network's own)",
    )
