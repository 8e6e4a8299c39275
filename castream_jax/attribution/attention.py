"""Raw attention: one of the stream's blocks as a class-agnostic saliency map."""

import functools

from jaxtyping import Array, Float

from castream_jax.attribution.method import Method, Subject
from castream_jax.errors import InputError

LAST = -1


@functools.lru_cache
def attention(block: int = LAST) -> Method:
    """Return raw attention as a method.

    Args:
      block: of the stream, 0 the first; -1 the last, -2 the one before it. A map has its block's resolution.
    """

    def sums(subject: Subject) -> Float[Array, "B h w"]:
        """Return the softmax attention of the block, averaged over heads (METHOD 2)."""
        count = len(subject.attention)
        if not -count <= block < count:
            raise InputError(f"attention_block is {block}: expected {-count} to {count - 1}, of {count} blocks.")
        return subject.attention[block].mean(1)

    which = "last block" if block == LAST else f"block {block}"
    return Method(
        key="attention",
        name="Raw attention" if block == LAST else f"Raw attention, block {block}",
        meaning=f"The attention of the stream's {which}, the same for every class.",
        formula="A = softmax(F q / √d)",
        source="CA-Stream, 2024",
        needs_stream=True,
        has_classes=False,
        options={} if block == LAST else {"block": block},
        sums=sums,
        configure=attention,
    )


ATTENTION = attention()
