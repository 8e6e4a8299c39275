"""CA-Stream as a record, and the same with one query on the last map."""

from typing import Any

from castream_jax.errors import InputError, choose
from castream_jax.poolings.pooling import Option, Pooling, Site
from castream_jax.poolings.stream import STARTS, Stream
from castream_jax.poolings.stream_variant import StreamVariant

KEYS_VALUES = ("features", "learned")
OPTIONS: dict[str, Option] = {
    "heads": 1,
    "stream_init": STARTS[0],
    "keys_values": KEYS_VALUES[0],
    "feed_forward": False,
    "width": 0,
}


def create_stream(
    site: Site, heads: int, stream_init: str, keys_values: str, feed_forward: bool, width: int
) -> Stream | StreamVariant:
    """Return the published stream, or where anything else is chosen its variant; `InputError` as these raise it."""
    learned = choose("keys_values of ca", keys_values, KEYS_VALUES) == "learned"
    if not (learned or feed_forward or width):
        return Stream(site.widths, heads, site.initializer, site.rngs, stream_init, site.features)
    if choose("stream_init", stream_init, STARTS) != STARTS[0]:
        raise InputError(
            f"stream_init is {stream_init!r}, which is a start of the published blocks: write stream_init={STARTS[0]} "
            "beside keys_values, feed_forward or width."
        )
    return StreamVariant(site, heads, learned, feed_forward, width)


def _describe(**facts: Any) -> Pooling:
    return Pooling(
        trains="its class token and the projection of each block",
        create=create_stream,
        has_attention=True,
        options=OPTIONS,
        **facts,
    )


CA = _describe(
    key="ca",
    name="CA",
    meaning="A class token that runs through one cross-attention block for each tap, and is what the last one pools.",
    source="CA-Stream, 2024",
    reads="all",
    part="stream",
)

SINGLE = _describe(
    key="single",
    name="Single query",
    meaning="One cross-attention block on the last feature map: the stream's last, with a query that is learned alone.",
    source="CA-Stream, 2024, with one block",
)
