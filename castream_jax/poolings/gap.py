"""Global average pooling: what the network was trained with."""

from castream_jax.poolings.pooling import Pooling

GAP = Pooling(
    key="gap",
    name="GAP",
    meaning="The mean of the last feature map over its positions: what the network was trained with.",
    source="Lin, Chen and Yan, 2014",
    trains="",
)
