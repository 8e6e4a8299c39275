"""How many images go through a network, counted from the questions themselves, and how many would without sharing."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from castream_jax.compute.questions import Again, Asked, Search


@dataclass(frozen=True)
class Cost:
    """Images through the network."""

    made: int
    """Without what fills the last chunk and the last batch."""
    without_sharing: int
    """Of a plain computation: each map of each network is made and measured by itself, and all that may be asked is."""
    dead_channels: int
    """Not asked because the answer is known: a flat channel."""
    pruning: int
    """Not asked because it is certified not to matter."""
    shared_trunk: int
    """Not asked because it was asked for another network."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(Cost)))

    def report(self) -> dict[str, int]:
        """Return the numbers as the report names them; what several measures share has what the other reasons leave."""
        named = {"shared_trunk": self.shared_trunk, "dead_channels": self.dead_channels, "pruning": self.pruning}
        counts = {name: count for name, count in named.items() if count}
        rest = self.without_sharing - self.made - sum(counts.values())
        return {"made": self.made, "without_sharing": self.without_sharing} | counts | {"shared_ends": rest}


NOTHING = Cost(0, 0, 0, 0, 0)


def from_array(counts: Int[np.ndarray, "devices 5"]) -> Cost:
    """Return the sum over devices of what `count` returned."""
    return Cost(*(int(number) for number in np.asarray(counts, np.int64).sum(0)))


@dataclass(frozen=True)
class Ledger:
    """What was asked of a batch, by whom."""

    explaining: Sequence[Asked]
    """For maps."""
    measuring: Sequence[Asked]
    """For metrics."""
    networks: int
    own_maps: int
    """Maps of an image that are of one network, and measured under that one."""
    shared_maps: int
    """Those that are measured under every network by the same passes."""
    images: int
    """Of the batch."""
    alone: int = 0
    """Forward passes that an image's maps take beside what they ask: those that run through the trunk and back."""

    def most(self) -> int:
        """Return the images that one image of the batch needs, at most; what serves the whole batch is left out."""
        return 1 + self.most_for_maps() + sum(self._own(asked) for asked in self.measuring)

    def most_for_maps(self) -> int:
        """Return those of them that maps take."""
        return self.alone + sum(self._own(asked) for asked in self.explaining)

    def _own(self, asked: Asked) -> int:
        """Return how many images of a question are of one image of the batch."""
        return 0 if asked.question.share == "batch" else self._each(asked)

    def _each(self, asked: Asked) -> int:
        """Return how many images of a question are of one image of the batch, or of all."""
        question = asked.question
        if isinstance(question, Again):
            return asked.each
        if isinstance(question, Search):
            return question.most
        return question.count if question.share == "batch" else question.count // self.images

    def count(self, valid: Bool[Array, "B"]) -> Int[Array, "5"]:
        """Return a `Cost` as an array, in its order, of the images that are no padding."""
        images = valid.sum()
        maps = self.own_maps + self.shared_maps * self.networks
        made = images * (1 + self.alone)  # their feature maps, and what no question tells
        plain = images * (self.own_maps + self.alone)  # the same, for each map by itself
        shared = jnp.zeros((), jnp.int32)
        dead = pruned = jnp.zeros((), jnp.int32)
        for asked in self.measuring:
            share, own = asked.question.share, self._each(asked)
            if isinstance(asked.question, Again):  # each map is of an image of its own
                made, plain = made + own * images, plain + own * images
                continue
            each = own // (self.own_maps + self.shared_maps) if share == "map" else own
            made += own * (1 if share == "batch" else images)
            plain += images * maps * each
            shared += images * self.shared_maps * (self.networks - 1) * each
        for asked in self.explaining:
            each = self._each(asked)
            if asked.question.share == "batch":
                made, plain = made + each, plain + each
                continue
            number = images * each if asked.number is None else jnp.sum(asked.number * valid)
            serves = 1 if asked.question.share == "map" else self.networks
            made += number
            plain += images * each * serves
            shared += images * each * (serves - 1)
            needless = images * each - number if asked.needless is None else jnp.sum(asked.needless * valid)
            dead += needless
            pruned += images * each - number - needless
        counts = made, plain, dead, pruned, shared
        return jnp.stack([jnp.asarray(number, jnp.int32) for number in counts])


def accuracy_cost(images: int, poolings: int) -> Cost:
    """Return the cost of asking some poolings for the classes of images."""
    return Cost(images, images * poolings, dead_channels=0, pruning=0, shared_trunk=images * (poolings - 1))
