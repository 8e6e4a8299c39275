"""What the experiment's network sees: as the config says, else as its weights were trained; what is guessed is said."""

import dataclasses
import logging

from castream_jax.config import DataConfig, Experiment
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.errors import InputError
from castream_jax.importing import is_address
from castream_jax.metrics.protocol import Protocol, choose_protocol
from castream_jax.models.inputs import USUAL_SIZE, Normalisation, Preprocessing
from castream_jax.models.network import Network
from castream_jax.weights.known import find_known, list_known

log = logging.getLogger(__name__)


def settle_preprocessing(model: Network, experiment: Experiment) -> None:
    """Give a network the preprocessing and normalisation that this experiment uses, and say how its own differ.

    Raises:
      InputError: `evaluation.preprocessing` is "weights", and how these were trained is not known.
    """
    data, own = experiment.data, model.preprocessing
    size = data.image_size or (own.size if own else USUAL_SIZE)
    model.preprocessing = dataclasses.replace(
        resizing(experiment, own, size), orientation=data.orientation, transparency=data.transparency
    )
    before = model.normalisation
    if data.mean:
        model.normalisation = Normalisation(data.mean, data.std)
    if own is None:
        if experiment.weights or (is_address(experiment.model.name) and not experiment.backbone.epochs):
            _say_guesses(experiment, model)
        return
    different = [f"images of {own.size} pixels, here {size}"] if own.size != size else []
    if model.normalisation != before:
        different.append(f"{word_normalisation(before)}, here {word_normalisation(model.normalisation)}")
    if different:
        log.warning("this network was trained on %s.", " and ".join(different))


def settled(experiment: Experiment, model: Network) -> Experiment:
    """Return the experiment with what its network settled on in place of what the config leaves to the weights."""
    mean, std = model.normalisation.mean, model.normalisation.std
    data = dataclasses.replace(experiment.data, image_size=network_resize(model).size, mean=mean, std=std)
    return dataclasses.replace(experiment, data=data)


def network_resize(model: Network) -> Resize:
    """Return how pictures become squares for a network whose preprocessing is settled."""
    seen = model.preprocessing
    assert seen is not None
    return Resize.of(seen)


def chosen_protocol(experiment: Experiment) -> Protocol:
    """Return the protocol that the config chooses, by name or choice by choice; `InputError` if there is none."""
    return choose_protocol(experiment.evaluation.protocol, dataclasses.asdict(experiment.own_protocol))


def resizing(experiment: Experiment, own: Preprocessing | None, size: int) -> Preprocessing:
    """Return how pictures become squares of `size`: as the protocol says, or if it is asked for as the weights do."""
    config = experiment.evaluation
    if config.preprocessing == "protocol":
        protocol = chosen_protocol(experiment)
        return Preprocessing(size, protocol.resize, protocol.interpolation, protocol.shorter_side)
    known = find_known(experiment.weights, experiment.model.name)
    published = known.preprocessing if known else own
    if published is None:
        names = list_known(experiment.model.name)
        advice = f"expected one of {', '.join(names)}." if names else "set preprocessing='protocol'."
        raise InputError(
            f"evaluation.preprocessing is 'weights', but weights={experiment.weights!r} is no published checkpoint, "
            f"nor one of ours: {advice}"
        )
    return published.at(size)


def evaluation_protocol(experiment: Experiment, model: Network) -> Protocol:
    """Return the protocol that a network, whose preprocessing is settled, is evaluated under."""
    protocol = chosen_protocol(experiment)
    if experiment.evaluation.preprocessing == "weights":
        known, resize = find_known(experiment.weights, experiment.model.name), network_resize(model)
        protocol = dataclasses.replace(
            protocol,
            name=f"{protocol.name}-{known.name if known else 'weights'}",
            resize=resize.mode,
            interpolation=resize.interpolation,
            shorter_side=resize.shorter_side,
        )
    return protocol


def with_decoding(protocol: Protocol, data: DataConfig, met: PictureCounts) -> Protocol:
    """Return a protocol with the config's orientation and transparency, where that made a difference.

    Args:
      protocol: a named one.
      data: says how pictures are decoded.
      met: the pictures that were measured. If none is oriented, or none transparent, the protocol's own choice stands,
        and so its hash: the numbers are the same bits.
    """
    if met.oriented:
        protocol = dataclasses.replace(protocol, orientation=data.orientation)
    if met.transparent:
        protocol = dataclasses.replace(protocol, transparency=data.transparency)
    return protocol


def word_normalisation(normalisation: Normalisation) -> str:
    """Return a normalisation in words."""
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (normalisation.mean, normalisation.std))
    return f"pixels of mean {mean} and std {std}"


def _say_guesses(experiment: Experiment, model: Network) -> None:
    """Say what the config leaves open and the weights do not tell."""
    guessed = [] if experiment.data.image_size else [f"images of {USUAL_SIZE} pixels (data.image_size)"]
    if not experiment.data.mean and experiment.weights:  # a network of the user's own says it
        guessed.append(f"{word_normalisation(model.normalisation)}, ImageNet's (data.mean, data.std)")
    if guessed:
        log.warning(
            "%s does not say how pictures became the network's input: taking %s.",
            experiment.weights or experiment.model.name,
            " and ".join(guessed),
        )
