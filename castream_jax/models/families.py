"""Families of networks: what there is to know of each beside its own file, which a network of it is built from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from castream_jax.models import convnext, efficientnet_lite, fresh, resnet
from castream_jax.models.backbone import Backbone


@dataclass(frozen=True)
class Family:
    """Networks of one design, which differ in their `specs` alone."""

    key: str
    """Its name where weights are named (`weights.names`)."""
    specs: Mapping[str, Any]
    """By architecture: what `create` needs to know."""
    create: Callable[[Any, jnp.dtype, nnx.Rngs], Backbone]
    """Builds a backbone with fresh weights from a spec, the type that it computes in, and random numbers."""
    head_norm: bool
    """Whether the classifier normalises what is pooled."""
    stream_init: fresh.Initializer
    """Of the stream's projections: the reference draws them as it does the family's own layers."""


FAMILIES = (
    Family("resnet", resnet.SPECS, resnet.ResNet, head_norm=False, stream_init=fresh.xavier_uniform),
    Family("convnext", convnext.SPECS, convnext.ConvNeXt, head_norm=True, stream_init=fresh.truncated_normal),
    Family(
        "efficientnet_lite",
        efficientnet_lite.SPECS,
        efficientnet_lite.EfficientNetLite,
        head_norm=False,
        stream_init=fresh.xavier_uniform,
    ),
)


def list_architectures() -> tuple[str, ...]:
    """Return the names of all architectures."""
    return tuple(name for family in FAMILIES for name in family.specs)


def find_family(architecture: str) -> Family | None:
    """Return the family of an architecture; None for a network of one's own."""
    return next((family for family in FAMILIES if architecture in family.specs), None)
