"""`castream COMMAND …`: finds the command. It imports what that one needs, and nothing for the others."""

import importlib
import sys
from collections.abc import Sequence

from castream_jax.cli.ending import ends_in_a_message
from castream_jax.errors import choose
from castream_jax.version import VERSION

COMMANDS = {
    "train": "train a CA-Stream on a frozen network",
    "evaluate": "measure the explanations of a trained network, GAP against CA",
    "explain": "explain pictures with a trained network",
    "app": "explain pictures in the browser",
    "figures": "draw the paper's figures, for print",
    "protocols": "measure the same maps under every protocol",
    "compare": "compare two evaluations, image by image",
    "study": "train and measure several poolings on one trunk, side by side",
    "push": "publish a trained network on the Hugging Face hub",
    "prepare": "get a dataset ready, once",
}
"""What each command does: the module of this folder with its name."""

HELP = "\n".join(
    [
        "CA-Stream in JAX: attention-based pooling for interpretable image recognition.",
        "\nUsage: castream COMMAND …\n",
        *(f"  {name:<11}{text}" for name, text in COMMANDS.items()),
        "\ncastream COMMAND --help says what a command takes; castream --version, which version this is.",
    ]
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that a command line names, by default the process's own; the first word is the program's name."""
    with ends_in_a_message():
        name, *rest = (sys.argv if argv is None else argv)[1:] or ["--help"]
        if name in ("--help", "-h", "help"):
            print(HELP)
            return
        if name == "--version":
            print(f"castream {VERSION}")
            return
        command = importlib.import_module(f"castream_jax.cli.{choose('command', name, COMMANDS)}")
    command.main([f"castream {name}", *rest])
