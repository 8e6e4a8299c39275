"""What a method is: one record, beside its function in a file of its own."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.compute.masking import min_max
from castream_jax.compute.questions import Conversation
from castream_jax.errors import InputError
from castream_jax.models.inputs import Normalisation
from castream_jax.models.network import Network

Head = Callable[[Float[Array, "B h w C"]], Float[Array, "B K"]]
"""From the target feature map to logits; the only part of a network that is differentiated, unless a record says so."""


@dataclass(frozen=True)
class Scene:
    """B images and their feature maps, which all poolings and classes share: what questions are made from."""

    images: Float[Array, "B H W c"]
    """Normalised."""
    normalisation: Normalisation
    features: Mapping[str, Float[Array, "B _ _ _"]]
    """Every named feature map."""
    feature_map: Float[Array, "B h w C"]
    """The one that attributions start from."""
    indices: Int[Array, "B"]
    """The images' places in the dataset: what is drawn at random depends on them, not on the batch."""
    columns: Int[Array, "B Q"]
    """The scores that are explained, Q for each image: every class under every pooling."""
    explained: Callable[[Float[Array, "B h w C"]], Float[Array, "B Q"]] | None = field(default=None, repr=False)
    """The logits of these, as a function of the target feature map."""

    @property
    def size(self) -> tuple[int, int]:
        """Of the images."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def grid(self) -> tuple[int, int]:
        """Of the target feature map."""
        return self.feature_map.shape[1], self.feature_map.shape[2]


@dataclass(frozen=True)
class Subject:
    """One class of each image under one pooling: what a map is of."""

    scene: Scene
    """With each image as often as it has classes."""
    head: Head
    """This pooling's, from the target feature map; the other feature maps stay as they are."""
    attention: tuple[Float[Array, "B heads _ _"], ...]
    """Of each block of the stream, after the softmax; empty where there is no stream."""
    labels: Int[Array, "B"]
    answers: Any = None
    """What the method's `ask` found, of this class and pooling: its arrays without their last axis."""
    network: Network | None = field(default=None, repr=False)
    """For what the head does not tell. Nothing of it is computed unless a method does."""
    target: str = ""
    """The name of the target feature map."""

    @property
    def whole(self) -> Network:
        """The network; `InputError` where only its head is known."""
        if self.network is None:
            raise InputError("the method needs the whole network, and only its head is given: use `ca.attribute`.")
        return self.network

    @property
    def feature_map(self) -> Float[Array, "B h w C"]:
        """The target feature map."""
        return self.scene.feature_map


PASSES = 3
"""What running through a trunk forward and back costs in forward passes: a backward pass takes about two."""
Maps = Callable[[Subject], Float[Array, "B h w"]]


@dataclass(frozen=True)
class Method:
    """A saliency map, and how it is computed."""

    key: str
    name: str
    meaning: str
    formula: str = ""
    source: str = ""
    needs_stream: bool = False
    """It is of a stream's attention, and not there under a pooling without one."""
    has_classes: bool = True
    """It differs from class to class."""
    is_signed: bool = False
    """Its map is scaled as it is, from its least value to its largest, and not its positive part."""
    through_trunk: int = 0
    """How often it runs through the trunk forward and back for a map; 0: it never does. Each time counts as three
    forward passes (`PASSES`), and is shared with nothing."""
    asks_logits: bool = False
    """Some of its questions ask for logits."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The choices that its numbers depend on, which the hash covers."""
    columns: tuple[str, ...] = ()
    """What `describe` leaves in the rows, one number for each map; null for other methods."""
    sums: Maps | None = field(default=None, repr=False)
    """From a subject to the map before ReLU and min-max. None: the record was read from a file."""
    ask: Callable[[Scene], Conversation] | None = field(default=None, repr=False)
    """The questions it asks, once for all poolings and classes; what it finds has the axis Q last. None: none."""
    describe: Callable[[Subject], Mapping[str, Float[Array, "B"]]] | None = field(default=None, repr=False)
    """Its `columns`, of the subjects that it explained. None: none."""
    remark: Callable[[Mapping[str, Any]], str] | None = field(default=None, repr=False)
    """From its `columns` over all images to a sentence for the report, below its name and pooling. None: none."""
    configure: Callable[..., "Method"] | None = field(default=None, repr=False)
    """From settings, `evaluation.<key>_<name>` of a config by name, to the method with them. None: it has none."""

    @property
    def hash(self) -> str:
        """Eight hexadecimal digits over its key and options."""
        return hashlib.sha256(json.dumps([self.key, dict(self.options)], sort_keys=True).encode()).hexdigest()[:8]

    def scale(self, sums: Float[Array, "*B h w"]) -> Float[Array, "*B h w"]:
        """Return maps in [0, 1] from what `sums` returned: the positive part, unless signed, min-max scaled."""
        return min_max(sums if self.is_signed else jax.nn.relu(sums))


def weighted_sum(feature_map: Float[Array, "B h w C"], weights: Float[Array, "B C"]) -> Float[Array, "B h w"]:
    """Return `sum_k w_k A^k`, in float32."""
    return jnp.einsum("bhwc,bc->bhw", feature_map.astype(jnp.float32), weights, precision=jax.lax.Precision.HIGHEST)
