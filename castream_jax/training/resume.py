"""Whether a checkpoint means the same as the config that asks to go on from it."""

import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any

from castream_jax.config import Experiment, from_dict
from castream_jax.errors import InputError
from castream_jax.version import VERSION

log = logging.getLogger(__name__)

FREE = (
    *("name", "evaluation", "data.directory", "data.workers", "data.validation_split", "data.on_bad_record"),
    *("log_every", "validate_every", "save_every"),
)
"""Settings, or groups of them, that may change between runs: what is trained does not depend on them."""
STAGE_ONLY = {"backbone": ("model.pooling", "model.heads", "stream"), "stream": ()}
"""Settings that one stage's checkpoints do not depend on."""
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow")


def describe_run(experiment: Experiment, stage: str, step: int) -> dict[str, Any]:
    """Return what a checkpoint says of itself: stage, config, seed, data position and versions."""
    settings = getattr(experiment, stage)
    return {
        "stage": stage,
        "step": step,
        "seed": experiment.seed,
        "images_seen": step * settings.batch_size,
        "config": experiment.to_dict(),
        "versions": {"castream_jax": VERSION} | {name: version(name) for name in LIBRARIES},
    }


def check_same_run(saved: dict[str, Any], experiment: Experiment, stage: str, directory: Path) -> None:
    """Warn if a checkpoint was made by other versions; their last bits may differ.

    Raises:
      InputError: the experiment differs in a setting that what was trained depends on; names all of them.
    """
    before = meaning(from_dict(saved["config"]), stage)
    now = meaning(experiment, stage)
    different = [key for key in now if before[key] != now[key]]
    if different:
        changes = ", ".join(f"{key} ({before[key]!r} there, {now[key]!r} here)" for key in different)
        raise InputError(
            f"the checkpoint in {directory} was trained with other settings: {changes}. To go on, set them back; to "
            f"train with the new ones, use another --workdir (and --config.weights={directory.parent.parent} to "
            "start from these weights)."
        )
    there = saved.get("versions", {})
    here = describe_run(experiment, stage, 0)["versions"]
    changed = [f"{name} {there.get(name)} -> {here[name]}" for name in here if there.get(name) != here[name]]
    if changed:
        log.warning("going on with other versions than before (%s): the last bits may differ", ", ".join(changed))


def meaning(experiment: Experiment, stage: str) -> dict[str, Any]:
    """Return the settings that a stage's trained arrays depend on, by dotted name."""
    free = (*FREE, *STAGE_ONLY[stage])
    settings = flatten_settings(experiment.to_dict())
    return {
        name: value
        for name, value in settings.items()
        if not any(name == other or name.startswith(f"{other}.") or name.endswith(f".{other}") for other in free)
    }


def flatten_settings(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= flatten_settings(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
