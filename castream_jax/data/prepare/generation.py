"""Lets a TFDS builder download and prepare its dataset."""

import functools
import importlib.util
import logging
import shutil
from collections import Counter
from pathlib import Path

import tensorflow_datasets as tfds

from castream_jax.data.prepare.preparation import Plan, as_gigabytes
from castream_jax.data.sources.prepared import OWN_BUILDERS, command, data_directory, find_builder
from castream_jax.errors import InputError

OWN_SIZES = {"castream_demo": 35_000_000}
"""Bytes of what our own builders make."""

MANUAL_FILES = {"imagenet2012": ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")}
"""What TFDS misses only after a while: files that a user has to download."""

TAKEN_TOO = {"imagenet2012": ("ILSVRC2012_img_test.tar",)}
"""What TFDS makes a split of where it lies beside them."""


def plan_generation(name: str, manual: str, directory: str) -> Plan:
    """Plan to prepare a dataset with its TFDS builder.

    Args:
      name: a TFDS dataset, with its variant and version where it has those, or one of `OWN_BUILDERS`.
      manual: the folder with what the user downloaded, for datasets that are not free to download.
      directory: where datasets are kept.

    Raises:
      InputError: no such dataset; it is not there yet and TensorFlow or a file that the user downloads is missing.
    """
    builder = find_builder(name, directory)
    path = Path(builder.data_path)
    if not path.exists():
        if name not in OWN_BUILDERS and not importlib.util.find_spec("tensorflow"):
            flags = [f"--manual={manual or 'DIR'}"] if builder.MANUAL_DOWNLOAD_INSTRUCTIONS else []
            raise InputError(
                f"TFDS prepares {name} with TensorFlow, which is not installed (nothing else needs it). Once, here or "
                "on another machine that shares the directory:\n"
                f"  pip install 'castream-jax[prepare]'\n  {command(name, directory, *flags)}"
            )
        check_manual_files(builder, name, manual, directory)
    make = functools.partial(generate, builder, manual)
    needs, counted = count_needs(builder, name, data_directory(directory), manual)
    return Plan(name, path, "", needs, make, counted)


def check_manual_files(builder: tfds.core.DatasetBuilder, name: str, manual: str, directory: str) -> None:
    """Raise `InputError` if a dataset wants files from the user and they are not there."""
    wanted = MANUAL_FILES.get(builder.name, ())
    if not wanted and not builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return
    missing = [file for file in wanted if not (Path(manual).expanduser() / file).is_file()]
    if not manual or missing or not Path(manual).expanduser().is_dir():
        where = f"--manual={manual} lacks {', '.join(missing)}" if manual else "--manual=DIR is missing"
        instructions = " ".join((builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "").split())
        again = command(name, directory, "--manual=DIR")
        files = f" with {' and '.join(wanted)}" if wanted else ""
        raise InputError(
            f"{name} is made from files that you download yourself, and {where}. Expected: {again}, where DIR is the "
            f"folder{files}. TFDS says: {instructions}"
        )


def count_needs(
    builder: tfds.core.DatasetBuilder, name: str, directory: str, manual: str = ""
) -> tuple[int | None, str]:
    """Return the bytes of disk that a dataset is still to fill, None where TFDS does not state them, and what they are.

    What the user downloaded stays where it is, and takes nothing; what an earlier try has downloaded is there already.
    """
    if name in OWN_SIZES:
        return OWN_SIZES[name], ""
    taken = [*MANUAL_FILES.get(builder.name, ()), *TAKEN_TOO.get(builder.name, ())]
    files = [file for each in taken if manual and (file := Path(manual).expanduser() / each).is_file()]
    if files:  # all of ImageNet, or archives of a few of its pictures
        size = sum(file.stat().st_size for file in files)
        return size, "the dataset, about as large as its archives; these stay where they are"
    archives = {
        info.checksum: info.size for info in (builder.url_infos or {}).values()
    }  # mirrors have the same checksum
    is_manual = bool(builder.MANUAL_DOWNLOAD_INSTRUCTIONS)
    if builder.info.dataset_size:
        dataset, counted = builder.info.dataset_size, "the dataset"
        downloads = builder.info.download_size or 0
    elif archives and not builder.builder_configs:
        # TFDS keeps datasets' sizes online but those of downloads with its code: a dataset of pictures is about as
        # large as its archives.
        dataset, counted = sum(archives.values()), "the dataset, about as large as its archives"
        downloads = dataset
    else:
        return None, ""  # the downloads of all variants together would be far too much
    if is_manual:
        return dataset, f"{counted}; what you downloaded stays where it is"
    there = count_downloaded(Path(directory) / "downloads", list(archives.values()))
    missing = max(downloads - there, 0)
    return dataset + missing, f"{counted}, and {as_gigabytes(missing)} to download" if missing else counted


def count_downloaded(folder: Path, sizes: list[int]) -> int:
    """Return the bytes of archives of these sizes that are in a folder of downloads, under whatever names."""
    files = [path for path in folder.glob("**/*") if path.is_file()] if folder.is_dir() else []
    there = Counter(path.stat().st_size for path in files)
    return sum(size * min(count, there[size]) for size, count in Counter(sizes).items())


def generate(builder: tfds.core.DatasetBuilder, manual: str) -> None:
    """Download and prepare a dataset; what a killed run has left is removed first.

    Raises:
      InputError: TFDS gives up, with its reason.
    """
    path = Path(builder.data_path)
    for left in path.parent.glob(f"incomplete.*_{path.name}"):
        shutil.rmtree(left)
    logging.getLogger("absl").setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of every retry; the last one's error is raised
    config = tfds.download.DownloadConfig(manual_dir=str(Path(manual).expanduser()) if manual else None)
    try:
        builder.download_and_prepare(download_config=config, file_format="array_record")
    except Exception as error:  # of many kinds: the network, the disk, a server's changed file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"TFDS cannot prepare {builder.name}: {type(error).__name__}: {reason}") from error
