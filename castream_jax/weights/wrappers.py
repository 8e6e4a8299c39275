"""Takes the state dict out of what a training script saved around it."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from castream_jax.errors import InputError
from castream_jax.weights.bounds import short
from castream_jax.weights.labels import Opaque

LOG = logging.getLogger(__name__)
WRAPPERS = ("model_sdict", "state_dict", "model", "model_state_dict", "net", "network")
"""Under which training scripts keep the state dict: the reference, many, facebookresearch, torch's tutorials."""
AVERAGES = ("state_dict_ema", "model_ema", "ema")
"""Under which they keep a moving average of the weights: timm, torchvision."""
DEEPEST = 4
"""How many wrappers a state dict may be in."""
COUNTER = "n_averaged"
"""What torch's AveragedModel holds beside its weights."""
LISTED = 20
"""How many names a message lists."""


@dataclass(frozen=True)
class StateDict:
    """Arrays by name, whether they are a moving average, and what is known of the network beside them."""

    arrays: Mapping[str, np.ndarray]
    is_average: bool = False
    metadata: Mapping[str, Any] | None = None
    """Of a checkpoint or an export of ours (`models.description`)."""


def take_state_dict(content: Any, path: Path, average: bool = False) -> StateDict:
    """Return the state dict in what a training script saved.

    Args:
      content: what the file holds.
      path: the file, for messages.
      average: take the moving average where there is one beside the weights themselves.

    Raises:
      InputError: there is no state dict, there are two, or something in it is no array.
    """
    is_average = False
    for _ in range(DEEPEST):
        raw, averages = ([name for name in names if _is_wrapper(content, name)] for names in (WRAPPERS, AVERAGES))
        found = averages if averages and (average or not raw) else raw
        if not found:
            break
        if len(found) > 1:
            raise InputError(
                f"{str(path)!r} holds {len(found)} state dicts, {list_names(found)}: save the one to load alone."
            )
        (name,) = found
        LOG.info("%s: taking %r out of %s", path, name, list_names(map(_describe, content.items())))
        is_average |= found is averages
        if averages and not is_average:
            LOG.info(
                "%s: taking the weights themselves; the moving average beside them, %r, is taken with average=True "
                "(--config.weights_average=True)",
                path,
                averages[0],
            )
        content = content[name]
    _check_state_dict(content, path)
    is_average |= any(key.split(".")[-1] == COUNTER for key in content)
    if is_average:
        LOG.info("%s: the weights are a moving average over training", path)
    return StateDict(content, is_average)


def list_names(names: Iterable[Any]) -> str:
    """Return names for a message: the first ones, each cut where it is long."""
    named = [short(str(name)) for name in names]
    return ", ".join(named[:LISTED]) + (f" and {len(named) - LISTED} more" if len(named) > LISTED else "")


def _describe(item: tuple[Any, Any]) -> str:
    """Return the key of an item of a dict, and what it is where it was not read."""
    key, value = item
    name = f"a {key.name}" if isinstance(key, Opaque) else str(key)
    return f"{name} ({value.name}, not read)" if isinstance(value, Opaque) else name


def _is_wrapper(content: Any, name: str) -> bool:
    """Return whether a dict keeps arrays, or another wrapper, under a name."""
    inner = content.get(name) if isinstance(content, dict) else None
    return isinstance(inner, dict) and any(
        isinstance(value, np.ndarray) or (isinstance(value, dict) and key in (*WRAPPERS, *AVERAGES))
        for key, value in inner.items()
    )


def _check_state_dict(content: Any, path: Path) -> None:
    """Raise `InputError` unless `content` is a dict of arrays by name."""
    values: Mapping[Any, Any] = content if isinstance(content, dict) else {"": content}
    others = {key: value for key, value in values.items() if not isinstance(value, np.ndarray)}
    suspects = others if len(others) < len(values) or "" in values else {key: others.get(key) for key in WRAPPERS}
    unread = next((value for value in suspects.values() if isinstance(value, Opaque)), None)
    if unread is not None:
        raise InputError(
            f"cannot read {str(path)!r}: it refers to {unread.name}: expected tensors, numbers, strings, lists and "
            "dicts alone. Nothing of it was run. If you trust where it is from, open it with torch and save the "
            "state dict alone: torch.save(model.state_dict(), new_path)."
        )
    if not isinstance(content, dict):
        raise InputError(
            f"cannot read {str(path)!r}: it holds a {type(content).__name__}: expected a dict of tensors by name. Save "
            "a state dict with torch: torch.save(model.state_dict(), path)."
        )
    if others or not content:
        named = list_names(map(_describe, others.items())) or "nothing"
        raise InputError(
            f"{str(path)!r} is no state dict: {named} in it is no array. Expected arrays by name, or such a dictionary "
            f"under {', '.join((*WRAPPERS, *AVERAGES))}."
        )
    if not all(isinstance(key, str) for key in content):
        raise InputError(f"{str(path)!r} is no state dict: its keys are not all names.")
