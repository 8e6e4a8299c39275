"""Raw attention: the stream's last block as a class-agnostic saliency map."""

from jaxtyping import Array, Float

from castream_jax.attribution.method import Method, Subject


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return the softmax attention of the last block, averaged over heads (METHOD 2)."""
    return subject.attention[-1].mean(1)


ATTENTION = Method(
    key="attention",
    name="Raw attention",
    meaning="The attention of the stream's last block, the same for every class.",
    formula="A = softmax(F q / √d)",
    source="CA-Stream, 2024",
    needs_stream=True,
    has_classes=False,
    sums=sums,
)
