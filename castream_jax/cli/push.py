"""`castream push --workdir W --to user/name`: publishes a trained network on the Hugging Face hub."""

import tempfile
from pathlib import Path

from castream_jax.cli.command import run
from castream_jax.config import Experiment
from castream_jax.errors import InputError
from castream_jax.publication.folder import list_folder, write_folder
from castream_jax.publication.upload import check_repository, upload_folder


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    run(
        push,
        "Publishes a trained network with its config, its reports and a card on the Hugging Face hub.",
        argv,
        switches={
            "dry_run": "list what would be uploaded, and upload nothing",
            "private": "make the repository a private one, if there is none yet",
            "without_pictures": "leave out pages and figures that may show pictures of the dataset",
        },
        to="the repository, as in user/name; it is made if there is none",
        output="write the folder here instead, and upload nothing",
    )


def push(
    experiment: Experiment,
    workdir: Path,
    to: str,
    output: str,
    dry_run: bool,
    private: bool,
    without_pictures: bool,
) -> None:
    """Write the folder, upload it unless something else is asked for, and say where it is."""
    if not (to or output or dry_run):
        raise InputError("--to is missing: name a repository of the Hugging Face hub, as in --to=user/name.")
    if to:
        check_repository(to)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(output).expanduser() if output and not dry_run else Path(scratch) / "network"
        write_folder(experiment, workdir, folder, to or f"user/{experiment.name}", not without_pictures)
        for name, size in list_folder(folder):
            print(f"{size:>13,} bytes  {name}")
        if dry_run:
            print("nothing is uploaded (--dry_run)")
        elif output:
            print(f"folder: {folder}")
        else:
            print(f"published: {upload_folder(folder, to, private)}")
