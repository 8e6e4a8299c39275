"""Weights at an address: on the Hugging Face hub, in torch's cache, or in an installed package."""

import os
import re
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import huggingface_hub.errors

from castream_jax.errors import InputError
from castream_jax.weights.bounds import exists, short
from castream_jax.weights.packages import PACKAGE, find_in_package
from castream_jax.weights.retries import told_once
from castream_jax.weights.shards import HUB_FILES, is_index, list_shards

HUB, TORCH = "hf://", "torchhub://"
NAME = re.compile(r"\w[\w.-]*", re.ASCII)
LONGEST = 400
"""Of an address, in characters."""


def locate(source: str) -> Path:
    """Return the file or directory that a path or an address stands for, downloading it where it must be.

    Raises:
      InputError: an address of another kind, or that is not there.
    """
    if source.startswith(HUB):
        return download(source)
    if source.startswith(TORCH):
        return find_in_torch_cache(source.removeprefix(TORCH))
    if source.startswith(PACKAGE):
        return find_in_package(source.removeprefix(PACKAGE))
    scheme, separator, rest = source.partition("://")
    if separator and scheme.isalnum():
        repository = "/".join(rest.split("/")[1:3])
        hint = f"if it is on the Hugging Face hub, give {HUB}{repository}; else " if NAME.match(repository) else ""
        raise InputError(f"weights are not read from {short(source)!r}: {hint}download the file, and give its path.")
    path = Path(source).expanduser()
    if not exists(path) and re.fullmatch(f"{NAME.pattern}/{NAME.pattern}", source, re.ASCII):
        raise InputError(
            f"there is no weight file {short(source)!r}. If it is a repository of the Hugging Face hub, give "
            f"{HUB}{short(source)}."
        )
    return path


def find_in_torch_cache(name: str) -> Path:
    """Return the file of that name in torch's cache."""
    home = os.environ.get("TORCH_HOME", Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "torch")
    if not NAME.fullmatch(name):
        raise InputError(f"{short(TORCH + name)!r}: expected the name of a file in torch's cache, without folders.")
    path = Path(home) / "hub" / "checkpoints" / name
    if not (exists(path) and path.is_file()):
        architecture = name.split("-")[0]
        raise InputError(
            f"{path} is not there. torchvision puts it there: python -c "
            f"\"import torchvision; torchvision.models.{architecture}(weights='IMAGENET1K_V1')\""
        )
    return path


def download(address: str) -> Path:
    """Return the local copy of `hf://owner/repo[/file]`: of its weights, or of the index of their shards."""
    parts = address.removeprefix(HUB).split("/")
    if len(parts) < 2 or not all(parts[:2]):
        raise InputError(f"{short(address)!r}: expected hf://owner/repo or hf://owner/repo/file.")
    if len(address) > LONGEST or not all(NAME.fullmatch(part) and ".." not in part for part in parts):
        raise InputError(
            f"{short(address)!r}: expected hf://owner/repo or hf://owner/repo/file, of letters, digits and single '.', "
            f"'-', '_', at most {LONGEST} characters."
        )
    repository, file = "/".join(parts[:2]), "/".join(parts[2:])
    problem: Exception | None = None
    for name in (file,) if file else HUB_FILES:
        path, problem = fetch(address, repository, name)
        if path is None:
            continue
        for shard in list_shards(path) if is_index(path) else ():
            if fetch(address, repository, name.replace(path.name, shard))[0] is None:
                raise InputError(f"{address} holds no {shard}, which {name} names.")
        return path
    if isinstance(problem, huggingface_hub.errors.LocalEntryNotFoundError):
        raise InputError(
            f"{address} is not in the local cache, and the hub cannot be reached: connect once, or give a file."
        ) from problem
    raise InputError(f"{address} holds no {file or ' or '.join(HUB_FILES)}: name its file.") from problem


def fetch(address: str, repository: str, name: str) -> tuple[Path | None, Exception | None]:
    """Return the local copy of a repository's file, or why there is none: it may hold another.

    Raises:
      InputError: no other file would be there either.
    """
    try:
        with told_once(address):
            return Path(huggingface_hub.hf_hub_download(repository, name)), None
    except huggingface_hub.errors.LocalEntryNotFoundError as error:  # offline, or no connection
        if huggingface_hub.constants.HF_HUB_OFFLINE:
            return None, error
        raise InputError(
            f"{address} is not in the local cache, and the hub cannot be reached: connect once, or give a file."
        ) from error
    except huggingface_hub.errors.RepositoryNotFoundError as error:
        raise InputError(f"{address}: there is no such repository on the hub, or it is private.") from error
    except (huggingface_hub.errors.EntryNotFoundError, huggingface_hub.errors.HFValidationError) as error:
        return None, error
    except (OSError, huggingface_hub.errors.XetDownloadError) as error:  # what the connection raises
        raise InputError(f"{address} cannot be downloaded ({short(str(error))}): connect, or give a file.") from error
