"""Families of networks: what there is to know of each beside its own file, which a network of it is built from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from castream_jax.errors import choose
from castream_jax.models import convnext, efficientnet_lite, resnet
from castream_jax.models.backbone import Backbone
from castream_jax.models.layers import fresh


@dataclass(frozen=True)
class Family:
    """Networks of one design, which differ in their `specs` alone."""

    key: str
    """Its name where weights are named (`weights.names`)."""
    specs: Mapping[str, Any]
    """By architecture: what `create` needs to know."""
    spec: type
    """Of each of them."""
    create: Callable[[Any, jnp.dtype, nnx.Rngs], Backbone]
    """Builds a backbone with fresh weights from a spec, the type that it computes in, and random numbers."""
    head_norm: bool
    """Whether the classifier normalises what is pooled."""
    stream_init: fresh.Initializer
    """Of the stream's projections: the reference draws them as it does the family's own layers."""


FAMILIES = (
    Family(
        "resnet",
        resnet.SPECS,
        resnet.ResNetSpec,
        resnet.ResNet,
        head_norm=False,
        stream_init=fresh.xavier_uniform,
    ),
    Family(
        "convnext",
        convnext.SPECS,
        convnext.ConvNeXtSpec,
        convnext.ConvNeXt,
        head_norm=True,
        stream_init=fresh.truncated_normal,
    ),
    Family(
        "efficientnet_lite",
        efficientnet_lite.SPECS,
        efficientnet_lite.EfficientNetLiteSpec,
        efficientnet_lite.EfficientNetLite,
        head_norm=False,
        stream_init=fresh.xavier_uniform,
    ),
)


def list_architectures() -> tuple[str, ...]:
    """Return the names of all architectures."""
    return tuple(name for family in FAMILIES for name in family.specs)


def find_family(name: str) -> Family | None:
    """Return the family of an architecture, or of that key; None for a network of one's own."""
    return next((family for family in FAMILIES if name in family.specs or name == family.key), None)


def resolve(architecture: object) -> tuple[str, Family, Any]:
    """Return the name, the family and the spec of an architecture, which is given by name or as a spec of one's own.

    A network of a spec of one's own goes by its family's key.

    Raises:
      InputError: an unknown name, or no spec of any family.
    """
    for family in FAMILIES:
        if isinstance(architecture, family.spec):
            return family.key, family, architecture
    name = choose("model", architecture, list_architectures())
    found = find_family(name)
    assert found is not None
    return name, found, found.specs[name]
