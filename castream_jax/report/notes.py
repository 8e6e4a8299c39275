"""What a report says in words beside its tables: source, accuracies, odd maps, intervals, forward passes."""

from collections.abc import Mapping

from castream_jax.attribution.method import PASSES
from castream_jax.data.pictures.decoding import Decoding, PictureCounts
from castream_jax.errors import escape
from castream_jax.report.agreement import find_least
from castream_jax.report.headings import count_differences
from castream_jax.report.schema import Provenance, Report
from castream_jax.report.statistics import fewest_resamples
from castream_jax.report.tables import format_number, report_metrics
from castream_jax.wording import is_null, name_attribution, name_pooling

SAVINGS = {
    "shared_trunk": "poolings share one trunk",
    "dead_channels": "flat channels need no pass of their own",
    "pruning": "channels too small to matter are left out",
    "shared_ends": "maps and metrics share what they ask",
}
"""Why passes are not made; one that several reasons would save belongs to the first."""


def describe_source(report: Provenance) -> str:
    """Return what the numbers are of: network, data, number of images, protocol and hash."""
    protocol = report["protocol"]
    return escape(
        f"{report['network']} on {report['dataset']} ({report['split']}), {word_images(report)}, "
        f"protocol {protocol['name']} (hash {protocol['hash']})"
    )


def word_images(report: Provenance) -> str:
    """Word how many images the rows are of, and of how many classes of them where each is explained by itself."""
    images = f"{report['num_images']:,} {'image' if report['num_images'] == 1 else 'images'}"
    return f"{report['num_explained']:,} classes of {images}" if "num_explained" in report else images


def describe_all(report: Report) -> list[str]:
    """Return every sentence below the tables of Markdown and text; those that do not apply are left out."""
    accuracies = "; ".join(f"{name} {value}" for name, value in describe_accuracies(report))
    number = report["accuracy_num_images"]
    what = name_accuracy(report)
    return [f"{what} (%, {number:,} images): {accuracies}.", *describe_numbers(report), describe_passes(report)]


def describe_numbers(report: Report) -> list[str]:
    """Return the sentences on how far the numbers of the tables can be trusted."""
    sentences = [
        describe_bootstrap(report),
        describe_maps("Flat maps (constant, counted as zeros)", report["flat_maps"]),
        describe_maps("Maps with a NaN or infinity (counted as zeros)", report["nan_maps"]),
        describe_maps("Maps without a positive value before ReLU (flat, therefore)", report["all_negative_maps"]),
        *(
            describe_maps(f"Maps of which {symbol} is not defined (counted as 0)", counts)
            for symbol, counts in report.get("undefined", {}).items()
        ),
    ]
    described = (
        describe_null_winners,
        describe_agreement,
        describe_pictures,
        describe_localised,
        describe_remarks,
        describe_classes,
    )
    return sentences + [sentence for describe in described for sentence in describe(report)]


def describe_accuracies(report: Report) -> list[tuple[str, str]]:
    """Return (name, percent) of each accuracy, or mean average precision, the dash where there is none."""
    found = report.get("mean_average_precision", report["accuracy"])
    accuracies = [(name_pooling(pooling), value) for pooling, value in found.items()]
    untrained = report.get("untrained_mean_average_precision", report.get("untrained_accuracy", {}))
    what = "stream untrained" if [*untrained] == ["ca"] else "untrained"
    accuracies += [(f"{name_pooling(pooling)}, {what}", value) for pooling, value in untrained.items()]
    top5 = report.get("top5_accuracy", {})
    accuracies += [(f"{name_pooling(pooling)}, among five", value) for pooling, value in top5.items()]
    return [(name, format_number(value)) for name, value in accuracies]


def name_accuracy(report: Report) -> str:
    """Return what the accuracies of a report are called."""
    return "Mean average precision" if "mean_average_precision" in report else "Accuracy"


def explain_accuracy(report: Report) -> str:
    """Return what they are."""
    images = f"{report['accuracy_num_images']:,} images"
    if "mean_average_precision" in report:
        return (
            f"In percent, over {images}: the mean over classes of the area under each one's interpolated "
            "precision-recall curve, as PASCAL VOC measures it since 2010."
        )
    return f"Images classified right, in percent, of {images}."


def describe_bootstrap(report: Report) -> str:
    """Return how the intervals came about, and what they do not tell."""
    bootstrap = report["bootstrap"]
    differences = count_differences(report)
    fewest = fewest_resamples(differences)
    too_few = (
        f" Holm's correction for {differences:,} differences needs {fewest:,} resamples or more: of these none is left."
    )
    drawn = ", each with all its classes" if "num_explained" in report else ""
    return (
        f"Intervals: {100 * bootstrap['level']:g} % percentile bootstrap over images{drawn}, "
        f"{bootstrap['resamples']:,} resamples, seed {bootstrap['seed']}; of few images they are somewhat too narrow. "
        "Each stands alone: of 20 differences that are truly 0, one excludes 0 by chance, on average."
    ) + (too_few if fewest > bootstrap["resamples"] else "")


def describe_maps(what: str, counts: Mapping[str, int]) -> str:
    """Return a sentence on how many maps of each attribution and pooling were odd."""
    found = []
    for pair, count in counts.items():
        attribution, _, pooling = pair.partition("/")
        if count:
            found.append(f"{name_attribution(attribution)} {name_pooling(pooling)} {count:,}")
    return f"{what}: {', '.join(found) or 'none'}."


def describe_null_winners(report: Report) -> list[str]:
    """Return which metrics are best for a map that knows nothing of the network."""
    found: dict[str, list[str]] = {}
    for metric in report_metrics(report):
        sign = -1 if metric.lower_is_better else 1
        lines = [line for line in report["rows"] if line[metric.symbol] is not None]
        best = max(lines, key=lambda line: sign * line[metric.symbol], default=None)
        if best is not None and is_null(best["attribution"]):
            found.setdefault(name_attribution(best["attribution"]), []).append(metric.symbol)
    told = ", ".join(f"{name} in {' and '.join(symbols)}" for name, symbols in found.items())
    return [f"Best of all is a map that knows nothing of the network: {told}."] if told else []


def describe_agreement(report: Report) -> list[str]:
    """Return how far images and metrics agree on which methods are better."""
    agreement = report.get("agreement")
    if not agreement:
        return []
    alphas = ", ".join(f"{symbol} {alpha:z.2f}" for symbol, alpha in agreement["alpha"].items())
    told = [f"How far images agree on the order of methods (Krippendorff's alpha; 1: fully, 0: not at all): {alphas}."]
    if least := find_least(agreement):
        a, b, tau = least
        told.append(f"On an image {a} and {b} agree least on it (Kendall's tau-b {tau:z.2f}, mean over images).")
    return told


def describe_pictures(report: Report) -> list[str]:
    """Return how many images were oriented or transparent, and what was done; of the accuracies where it differs."""
    pictures = report.get("pictures")
    if not pictures:
        return []
    decoding = Decoding(**pictures["decoding"])
    measured, accuracy = (PictureCounts(**pictures[name]) for name in ("measured", "accuracy"))
    told = {"Pictures": measured} | ({"Pictures of the accuracies": accuracy} if accuracy != measured else {})
    return [f"{what}: {said}." for what, counts in told.items() if (said := counts.describe(decoding))]


def describe_localised(report: Report) -> list[str]:
    """Return how many images the metrics of where the object is are of, and what says where it is."""
    counts = report.get("localised_images", {})
    if not counts:
        return []
    what = "Classes of images" if "num_explained" in report else "Images"
    truth = report["settings"].get("truth")
    by = f", by {truth}" if truth else ""
    if len(set(counts.values())) == 1:
        return [f"{what} with a mask or box{by}: {next(iter(counts.values())):,}."]
    return [f"{what} with a mask or box{by}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}."]


def describe_classes(report: Report) -> list[str]:
    """Return which classes the labels are, the first and the last by name."""
    names = report.get("class_names", [])
    told = [f"{label} is {name}" for label, name in enumerate(names)]
    if len(told) > 6:
        told[3:-1] = ["…"]
    return [f"Classes by label: {', '.join(told)}; {len(names):,} in all."] if told else []


def describe_remarks(report: Report) -> list[str]:
    """Return what methods say of all their maps."""
    return [
        f"{name_attribution(attribution)} {name_pooling(pooling)}: {said}"
        for attribution, poolings in report.get("remarks", {}).items()
        for pooling, said in poolings.items()
    ]


def describe_passes(report: Report) -> str:
    """Return how many images went through the network, and what spared the others."""
    passes = report["passes"]
    plain = passes["without_sharing"]
    saved = [
        f"{why} {100 * passes[name] / plain if plain else 0:.1f} %" for name, why in SAVINGS.items() if name in passes
    ]
    made = f"Forward passes: {passes['made']:,} of the {plain:,} of the plain computation"
    through = [method["name"] for method in report.get("methods", []) if method.get("through_trunk")]
    said = [f"{made}."]
    if saved:
        said.append(f"Saved: {'; '.join(saved)}.")
    if through:
        said.append(f"{', '.join(through)}: through the trunk forward and back, each time counted as {PASSES}.")
    return " ".join(said)
