"""`castream app`: explains pictures in the browser."""

from pathlib import Path

from castream_jax.app.server import HOST, PORT, check_installed, listen, parse_port, serve
from castream_jax.app.viewer import Viewer
from castream_jax.binding.choices import choose_methods
from castream_jax.cli.command import run
from castream_jax.config import Experiment
from castream_jax.explanation.classes import find_class_names, load_named

DEFAULT = "efficientnet_lite0_gap"
"""Real weights that a package brings: photographs are explained without a training."""


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    run(
        explain_in_browser,
        "Explains pictures in the browser: drop one, choose class, map and pooling, compare two maps.",
        argv,
        default=DEFAULT,
        host=f"the address to serve at (default: {HOST}, this machine alone; 0.0.0.0: all that reach it)",
        port=f"the port (default: {PORT}; 0: any that is free)",
        class_names="a text file with the name of a class in each line (default: the dataset's names)",
    )


def explain_in_browser(experiment: Experiment, workdir: Path, host: str, port: str, class_names: str) -> None:
    """Serve the app until it is interrupted."""
    check_installed()
    address = host or HOST, parse_port(port)
    listen(*address).close()  # a taken port is said before the network is loaded
    choose_methods(experiment.evaluation.attributions)  # records of one's own join the known ones
    names = find_class_names(experiment, class_names, workdir)
    model = load_named(experiment, workdir, names, class_names)
    serve(Viewer(model, names, experiment), *address)
