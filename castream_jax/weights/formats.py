"""What a weight file holds, whatever its format."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from castream_jax.errors import InputError
from castream_jax.weights.bounds import check_regular, short
from castream_jax.weights.pickled import read_pickled
from castream_jax.weights.shards import is_index, read_shards
from castream_jax.weights.wrappers import StateDict, take_state_dict

DESCRIPTION = "castream_jax"
"""Under which an export of ours says in its header what `describe_network` does."""
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")


def read_file(path: Path, average: bool = False) -> StateDict:
    """Return the state dict of a `.safetensors` or `.pth` file, or of the shards of an index.

    Args:
      path: the file.
      average: take the moving average where there is one beside the weights themselves.

    Raises:
      InputError: there is no such file, it is damaged or forged, or it holds no state dict.
    """
    if is_index(path):
        return take_state_dict(read_shards(path, lambda shard: read_file(shard).arrays), path, average)
    if path.suffix != ".safetensors":
        return take_state_dict(read_pickled(path), path, average)
    found = take_state_dict(read_safetensors(path), path, average)
    return replace(found, metadata=read_description(path))


def read_description(path: Path) -> dict[str, Any] | None:
    """Return what the header of a whole `.safetensors` file of ours says of the network; None for any other."""
    with safetensors.safe_open(path, "np") as file:
        said = (file.metadata() or {}).get(DESCRIPTION)
    try:
        return {"network": json.loads(said)} if said else None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{str(path)!r} says of its network what is no JSON ({error}): export it again, or remove "
            f"{DESCRIPTION!r} from its metadata."
        ) from error


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a `.safetensors` file."""
    check_regular(path)
    try:
        with safetensors.safe_open(path, "np") as file:
            dtypes = {key: file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
            other = {key: dtype for key, dtype in dtypes.items() if dtype not in DTYPES}
            if not other:
                return dict(file.get_tensors())
    except Exception as error:  # a damaged file raises whatever its reader stumbles on
        cause = short(str(error)) or type(error).__name__
        raise InputError(
            f"{str(path)!r} is no whole .safetensors file ({cause}): convert or download it again."
        ) from error
    key, dtype = next(iter(other.items()))
    raise InputError(
        f"{str(path)!r} holds {dtype} numbers ({short(key)} and {len(other) - 1} more): they are quantised, and mean "
        "nothing without their scales. Save the weights as float32, float16 or bfloat16."
    )
