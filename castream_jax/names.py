"""The words of tables and pictures: attributions, poolings and metrics (METHOD 2 and 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ATTRIBUTION_NAMES = {
    "grad_cam": "Grad-CAM",
    "grad_cam_pp": "Grad-CAM++",
    "score_cam": "Score-CAM",
    "attention": "Raw attention",
    "attention_scores": "Raw attention (scores)",
}
NULL_NAMES = {
    "random": "Random",
    "gaussian": "Centred Gaussian",
    "constant": "Constant",
    "fake": "All but one pixel",
}
"""The maps of `baselines`, which know nothing of the network: what a metric gives for nothing."""
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

CURVED = tuple(metric for metric in METRICS if metric.symbol in ("I", "D"))
"""Those that are areas under a curve."""

LOCALISATION = (
    Metric(
        "PG",
        "pointing_game",
        "Pointing game",
        False,
        "The share of images whose most salient pixel lies on the object.",
    ),
    Metric(
        "EPG",
        "energy_pointing_game",
        "Energy-based pointing game",
        False,
        "The share of the map's sum that lies on the object.",
    ),
    Metric(
        "IoU best",
        "iou_best",
        "Overlap at the best threshold",
        False,
        "The intersection over union of the object and the pixels above a threshold, "
        "at the threshold that suits the image best.",
    ),
    Metric(
        "IoU fixed",
        "iou_fixed",
        "Overlap at a fixed threshold",
        False,
        "The intersection over union of the object and the pixels above the same threshold in every image.",
    ),
)
"""Where the object is, of images with a mask or box."""

NOT_A_NUMBER = "not a number"
ODD = {"nan": NOT_A_NUMBER, "all_negative": "nothing positive for this class", "flat": "flat"}
"""What can be wrong with a map: column of the rows, and in words. One that has nothing positive is flat too."""


def name_attribution(attribution: str) -> str:
    """Return an attribution's name for people."""
    return (ATTRIBUTION_NAMES | NULL_NAMES).get(attribution, attribution)


def is_null(attribution: str) -> bool:
    """Return whether a map knows nothing of the network."""
    return attribution in NULL_NAMES


def name_pooling(pooling: str) -> str:
    """Return a pooling's name for people."""
    return POOLING_NAMES.get(pooling, pooling)


def name_class(label: int, class_names: Sequence[str]) -> str:
    """Return a class's name, or that a network's answer is none: -1."""
    return class_names[label] if label >= 0 else NOT_A_NUMBER


def describe_odd(flags: Mapping[str, Any]) -> str:
    """Return what is wrong with a map by its flags, named as in `ODD`, in words; empty where nothing is."""
    return next((words for name, words in ODD.items() if flags.get(name)), "")


def name_answers(label: int, answers: Mapping[str, int], class_names: Sequence[str]) -> str:
    """Return what stands above an image: a class, and the answer of each pooling, as in "fox (GAP: dog, CA: fox)"."""
    said = ", ".join(
        f"{name_pooling(pooling)}: {name_class(answer, class_names)}" for pooling, answer in answers.items()
    )
    return f"{name_class(label, class_names)} ({said})"


def order_pairs(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the poolings of each attribution: attributions as they first appear, null maps last; GAP before CA."""
    order = list(POOLING_NAMES)
    rank = {pooling: order.index(pooling) if pooling in order else len(order) for _, pooling in pairs}
    return {
        attribution: sorted((p for a, p in pairs if a == attribution), key=lambda pooling: rank[pooling])
        for attribution in sorted(dict.fromkeys(attribution for attribution, _ in pairs), key=is_null)
    }
