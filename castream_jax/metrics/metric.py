"""What a metric is: one record, beside its function in a file of its own."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from castream_jax.errors import InputError
from castream_jax.metrics.protocol import SHARED, Protocol
from castream_jax.models.inputs import Normalisation

NEEDS, PLACE, SPREAD = "What the network needs", "Where the object is", "How the map is spread"
CLASS, NOISE = "Whether the map is of its class", "Whether the map bears noise"
WEIGHTS = "Whether the map is of what was learned"
"""The tables that metrics stand in, by the question that they answer."""


@dataclass(frozen=True)
class Case:
    """J maps of B images, and what the network says of these images: all that a metric may look at."""

    images: Float[Array, "B H W C"]
    """Normalised."""
    saliency: Float[Array, "J H W"]
    """Maps in [0, 1] at the images' size."""
    of: Int[Array, "J"]
    """The image that each map is of."""
    protocol: Protocol
    normalisation: Normalisation
    truth: Bool[Array, "B H W"] | None = None
    """Where the object is; None: not known."""
    indices: Int[Array, "B"] | None = None
    """The images' places in the dataset: what is drawn at random depends on them; None: those in the batch."""
    partners: Float[Array, "B n H W C"] | None = None
    """Normalised images of other classes, for each image; None: there are none."""
    answers: dict[str, Array] = field(default_factory=dict)
    """Those that serve all metrics, once they are there."""

    @property
    def probability(self) -> Float[Array, "B Q"]:
        """The scores of the classes explained, on the images themselves: Q for each.

        They are asked with the first questions of all metrics, so that the same program gives them as gives those of
        changed images: what rounding adds is no increase. Before these are answered there are none.
        """
        if "p" not in self.answers:
            raise InputError("a metric looks at p before it asks: yield its questions, or [] if it has none, first.")
        return self.answers["p"]

    @property
    def p(self) -> Float[Array, "J Q"]:
        """The probabilities on the image of each map."""
        return self.probability[self.of]

    @cached_property
    def order(self) -> Int[Array, "J N"]:
        """The pixels of each map, the most salient first, ties by decreasing flat index (METHOD 3)."""
        flat = self.saliency.reshape(len(self.saliency), -1)
        return jnp.argsort(flat, axis=1, stable=True)[:, ::-1]

    @cached_property
    def ranks(self) -> Int[Array, "J H W"]:
        """Each pixel's place in `order`."""
        places = jnp.arange(self.order.shape[1], dtype=jnp.int32)
        ranks = jnp.put_along_axis(jnp.zeros(self.order.shape, jnp.int32), self.order, places[None], 1, inplace=False)
        return ranks.reshape(self.saliency.shape)

    def blank(self, colour: str) -> Float[Array, "1 H W C"]:
        """Return an image of one colour: "mean", which is zero in normalised space, or "black"."""
        shape = (1, *self.images.shape[1:])
        if colour == "mean":
            return jnp.zeros(shape)
        return jnp.broadcast_to(-jnp.asarray(self.normalisation.mean) / jnp.asarray(self.normalisation.std), shape)


Measure = Callable[[Case], Any]
"""From a case to columns of the rows by name, [J Q ...] or, where the network does not matter, [J]; or a conversation
(`compute.questions`) that ends in them."""

Settle = Callable[[Mapping[str, Float[np.ndarray, "n"]]], Float[np.ndarray, "n"]]
"""From a metric's columns in the rows of one map, all images, to what `column` is to hold; NaN where there is none."""


@dataclass(frozen=True)
class Metric:
    """One column of the table, and how it is measured."""

    symbol: str
    """Of the table's heading; its key."""
    column: str
    """The column of the per-image rows whose mean it is, a fraction."""
    name: str
    lower_is_better: bool
    meaning: str
    formula: str = ""
    source: str = ""
    question: str = NEEDS
    """The table that it stands in."""
    curve: str = ""
    """If it is the area under a curve, `<column>_curve` in the rows: what goes from 0 to 1 along it, in words."""
    columns: tuple[str, ...] = ()
    """Other columns that it leaves in the rows, one number for each map."""
    choices: tuple[str, ...] = ()
    """Of the protocol, those that its numbers depend on beside the shared ones."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Its own choices, which the hash covers."""
    needs_truth: bool = False
    """It is measured only where it is known where the object is, and is null for other images."""
    undefined: str = ""
    """Of its columns, the one that is 1 where it is not defined and counts as 0: the report says how often."""
    needs_method: bool = False
    """It needs maps of other images or classes by the same method: it is no number for maps from elsewhere, nor for
    those that take more passes than their image's, which it would take too long to make again."""
    needs_fresh: bool = False
    """It needs the network with fresh weights."""
    needs_partners: int = 0
    """Images of other classes that it needs beside each image."""
    by_default: bool = True
    measure: Measure | None = field(default=None, repr=False)
    """None: the record was read from a file, and cannot measure."""
    settle: Settle | None = field(default=None, repr=False)
    """Where only all images together tell an image's number; None: what was measured is the number."""

    @property
    def arrow(self) -> str:
        """The direction of better."""
        return "↓" if self.lower_is_better else "↑"

    @property
    def heading(self) -> str:
        """The symbol with its arrow."""
        return f"{self.symbol} {self.arrow}"

    @property
    def curve_column(self) -> str:
        """The column of its curve; empty if it is no area."""
        return f"{self.column}_curve" if self.curve else ""

    def hash(self, protocol: Protocol) -> str:
        """Return eight hexadecimal digits over the shared choices and its own: other metrics' do not count."""
        names = [name for name in (*SHARED, *self.choices) if not protocol.is_as_before(name)]
        chosen = {name: getattr(protocol, name) for name in names}
        said = json.dumps([self.column, chosen, dict(self.options)], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:8]
