"""The words of tables and pictures: attributions, poolings and metrics (METHOD 2 and 3)."""

from dataclasses import dataclass

ATTRIBUTION_NAMES = {
    "grad_cam": "Grad-CAM",
    "grad_cam_pp": "Grad-CAM++",
    "score_cam": "Score-CAM",
    "attention": "Raw attention",
    "attention_scores": "Raw attention (scores)",
}
POOLING_NAMES = {"gap": "GAP", "ca": "CA"}
"""In the order of the table."""


@dataclass(frozen=True)
class Metric:
    """One column of the table."""

    symbol: str
    column: str
    """The column of the per-image rows whose mean it is."""
    name: str
    lower_is_better: bool
    meaning: str
    formula: str = ""

    @property
    def arrow(self) -> str:
        """The direction of better."""
        return "↓" if self.lower_is_better else "↑"

    @property
    def heading(self) -> str:
        """The symbol with its arrow."""
        return f"{self.symbol} {self.arrow}"


METRICS = (
    Metric(
        "AD",
        "average_drop",
        "Average drop",
        True,
        "The share of its probability that the class loses when the image is multiplied by the map. "
        "A map that keeps what the network needs loses little.",
        "(p \N{MINUS SIGN} o)₊ / p",
    ),
    Metric(
        "AG",
        "average_gain",
        "Average gain",
        False,
        "The share of the missing probability that the class gains when the image is multiplied by the map. "
        "A map that removes what distracts the network gains much.",
        "(o \N{MINUS SIGN} p)₊ / (1 \N{MINUS SIGN} p)",
    ),
    Metric(
        "AI",
        "average_increase",
        "Average increase",
        False,
        "The share of images whose class becomes more probable when the image is multiplied by the map.",
        "o > p",
    ),
    Metric(
        "I",
        "insertion",
        "Insertion",
        False,
        "The area under the class probability while a blurred image becomes sharp, the most salient pixels first. "
        "A good map brings the class back early.",
    ),
    Metric(
        "D",
        "deletion",
        "Deletion",
        True,
        "The area under the class probability while the image is erased, the most salient pixels first. "
        "A good map destroys the class early.",
    ),
)


def name_attribution(attribution: str) -> str:
    """Return an attribution's name for people."""
    return ATTRIBUTION_NAMES.get(attribution, attribution)


def name_pooling(pooling: str) -> str:
    """Return a pooling's name for people."""
    return POOLING_NAMES.get(pooling, pooling)


def order_pairs(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the poolings of each attribution: attributions as they first appear, GAP before CA."""
    order = list(POOLING_NAMES)
    rank = {pooling: order.index(pooling) if pooling in order else len(order) for _, pooling in pairs}
    return {
        attribution: sorted((p for a, p in pairs if a == attribution), key=lambda pooling: rank[pooling])
        for attribution in dict.fromkeys(attribution for attribution, _ in pairs)
    }
