"""Networks of the user's own, which a config names as `model.name="my_package.nets:create"`."""

import jax
import jax.numpy as jnp
from flax import nnx

from castream_jax.config import Experiment
from castream_jax.errors import InputError
from castream_jax.importing import import_object
from castream_jax.models.classifier import Classifier, describe_trunk
from castream_jax.models.network import Network, list_missing
from castream_jax.poolings.choosing import choose_poolings, create_modules

PICTURE_CHANNELS = 3
"""Of what datasets of pictures are read as."""


def create_own_network(experiment: Experiment, num_classes: int) -> Network:
    """Return the network that the config's function creates.

    Args:
      experiment: its `model.name` is "module:function", from the current directory or PYTHONPATH. The function takes
        the number of classes and returns a `Network`, with its weights. Of a `Classifier`, the poolings become the
        config's: those that it has not are added, drawn from the config's seed, and then trained, or read from a
        checkpoint.
      num_classes: of the dataset.

    Raises:
      InputError: there is no such function, it fails, or what it returns is no network for this experiment.
    """
    address = experiment.model.name
    create = import_object("model.name", address)
    if not callable(create):
        raise InputError(f"model.name {address!r} is {type(create).__name__}: expected a function of num_classes.")
    try:
        found = create(num_classes)
    except Exception as error:  # the function is the user's code
        raise InputError(f"{address}({num_classes}) fails ({type(error).__name__}: {error}).") from error
    _check_network(found, address, num_classes)
    if not isinstance(found, Classifier):
        if experiment.weights:
            raise InputError(
                f"config.weights is {experiment.weights!r}, and the network of {address} comes with its weights: read "
                "them in this function, and leave config.weights empty."
            )
        return found
    config = experiment.model
    choices = choose_poolings(config.pooling)
    own = {choice.text: getattr(found, choice.part) for choice in found.choices}
    missing = [choice for choice in choices if choice.text not in own]
    trunk = describe_trunk(found.backbone, missing)
    usual = {"heads": config.heads, "stream_init": config.stream_init}
    modules = own | create_modules(missing, trunk, nnx.Rngs(params=experiment.seed), usual)
    return found.pooled_by({choice.text: modules[choice.text] for choice in choices})


def _check_network(found: object, address: str, num_classes: int) -> None:
    """Raise `InputError` unless an object is a network for pictures of so many classes."""
    if not isinstance(found, Network):
        raise InputError(
            f"{address}({num_classes}) returns {type(found).__name__}, which has no {', '.join(list_missing(found))}: "
            "expected a network, as a Classifier or what castream_jax.network makes of two functions."
        )
    if not isinstance(found, nnx.Module):
        raise InputError(
            f"{address}({num_classes}) returns {type(found).__name__}: expected an nnx.Module, which holds its arrays "
            "in nnx.Variables."
        )
    if any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in jax.tree.leaves(nnx.state(found))):
        raise InputError(
            f"{address}({num_classes}) returns a network that holds keys of random numbers, as dropout does: build it "
            "without. Here it is frozen, and draws nothing."
        )
    if found.num_classes != num_classes:
        raise InputError(
            f"{address}({num_classes}) returns a network of {found.num_classes} classes: the dataset has {num_classes}."
        )
    if found.normalisation.channels != PICTURE_CHANNELS:
        raise InputError(
            f"the network of {address} is for images of {found.normalisation.channels} channels: pictures of datasets "
            f"are read with {PICTURE_CHANNELS}. From Python, attribute and evaluate_maps take arrays of any number."
        )


def require_classifier(model: Network, experiment: Experiment) -> Classifier:
    """Return a network that can be trained, or raise `InputError`."""
    if isinstance(model, Classifier):
        return model
    raise InputError(
        f"the network of {experiment.model.name} cannot be trained here: it comes with its weights. Evaluate it as it "
        "is (python evaluate.py with the same flags), or let the function return a castream_jax.Classifier of your "
        "backbone, whose stream can be trained."
    )
