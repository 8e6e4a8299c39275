"""`castream explain PICTURES…`: explains pictures with a trained network."""

from pathlib import Path

from castream_jax.cli.command import run
from castream_jax.config import Experiment
from castream_jax.explanation.output import Request, explain_pictures


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    run(
        explain,
        "Explains pictures with a trained network: a gallery to look through, and a PNG for each picture.",
        argv,
        arguments="PICTURES…   files, folders (with those below them) and quoted globs, as in 'photos/**/*.jpg'",
        switches={"npz": "write the raw maps too, a .npz for each picture"},
        output="the folder to write to (default: explanations in the work directory)",
        classes="explain these for every picture, by name or label: 'tabby cat,282' (default: the predicted)",
        methods="of grad_cam, grad_cam_pp, score_cam, attention, attention_scores (default: the config's)",
        class_names="a text file with the name of a class in each line (default: the dataset's names)",
    )


def explain(
    experiment: Experiment,
    workdir: Path,
    arguments: list[str],
    output: str,
    classes: str,
    methods: str,
    class_names: str,
    npz: bool,
) -> None:
    """Explain pictures, and say where that is."""
    folder = Path(output).expanduser() if output else workdir / "explanations"
    request = Request(arguments, folder, classes, methods, class_names, npz)
    print(f"gallery: {explain_pictures(experiment, workdir, request)}")
