"""Lets a TFDS builder download and prepare its dataset."""

import functools
import importlib.util
import logging
import shutil
from pathlib import Path

import tensorflow_datasets as tfds

from castream_jax.data.prepare.preparation import Plan
from castream_jax.data.sources.prepared import OWN_BUILDERS, command, find_builder
from castream_jax.errors import InputError

OWN_SIZES = {"castream_demo": 35_000_000}
"""Bytes of what our own builders make."""

MANUAL_FILES = {"imagenet2012": ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")}
"""What TFDS misses only after a while: files that a user has to download."""


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
        check_manual_files(builder, name, manual)
    return Plan(name, path, "", stated_size(builder, name), functools.partial(generate, builder, manual))


def check_manual_files(builder: tfds.core.DatasetBuilder, name: str, manual: str) -> None:
    """Raise `InputError` if a dataset wants files from the user and they are not there."""
    wanted = MANUAL_FILES.get(builder.name, ())
    if not wanted and not builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return
    missing = [file for file in wanted if not (Path(manual).expanduser() / file).is_file()]
    if not manual or missing or not Path(manual).expanduser().is_dir():
        where = f"--manual={manual} lacks {', '.join(missing)}" if manual else "--manual=DIR is missing"
        instructions = " ".join((builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "").split())
        raise InputError(
            f"{name} is made from files that you download yourself, and {where}. TFDS says: {instructions}"
        )


def stated_size(builder: tfds.core.DatasetBuilder, name: str) -> int | None:
    """Return the bytes that downloads and dataset take, as TFDS states them; None where it does not."""
    if name in OWN_SIZES:
        return OWN_SIZES[name]
    if builder.info.dataset_size and builder.info.download_size is not None:
        return builder.info.dataset_size + builder.info.download_size
    if not builder.url_infos or builder.builder_configs:
        return None  # the downloads of all variants together would be far too much
    # TFDS keeps datasets' sizes online but those of downloads with its code. A dataset of pictures is about as large as
    # its archives, which come on top unless the user has them already. Mirrors have the same checksum.
    archives = sum({info.checksum: info.size for info in builder.url_infos.values()}.values())
    return archives if builder.MANUAL_DOWNLOAD_INSTRUCTIONS else 2 * archives


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
