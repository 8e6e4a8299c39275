"""The report as one self-contained HTML file, for screens of any width, light or dark, and for paper."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from castream_jax.attribution.null_maps import NULL_MAPS
from castream_jax.drawing.page import load_template, to_data_uri
from castream_jax.drawing.palette import STROKES, place_strokes
from castream_jax.metrics.protocol import CHOICE_NAMES
from castream_jax.report.agreement import MEANING, tabulate_agreement
from castream_jax.report.cards import build_cases, build_index, draw_scale
from castream_jax.report.curves_svg import build_curves, describe_bands
from castream_jax.report.headings import list_poolings
from castream_jax.report.notes import (
    describe_accuracies,
    describe_numbers,
    describe_passes,
    describe_source,
    explain_accuracy,
    name_accuracy,
    word_images,
)
from castream_jax.report.schema import Report
from castream_jax.report.selection import Selection
from castream_jax.report.tables import SURE, format_number, tabulate
from castream_jax.wording import is_null, name_attribution, name_pooling, order_pairs

SETTING_NAMES = {
    "image_size": "Side of an image, in pixels",
    "mean": "Mean of pixels in 0..1, for the normalisation",
    "std": "Standard deviation of pixels in 0..1, for the normalisation",
    "truth": "Where objects are, by",
    "target": "Feature map that CAMs start from",
    "dtype": "The backbone computes in",
    "score_cam_tolerance": "Score-CAM's tolerance",
    "score_cam_passes": "Score-CAM's passes for an image, at most, or their share; 0: all",
    "score_cam_error": "Score-CAM's error, as stated; 0: none is allowed",
    "arrays": "Digest of the network's arrays",
    "chunk": "Images in one forward pass",
    "batch_size": "Images in a batch",
    "device": "Device",
}


def render_html(
    report: Report,
    rows: pa.Table,
    figures: Sequence[tuple[str, str | Path]],
    selection: Selection | None = None,
) -> str:
    """Return the report as one HTML document that needs no other file and no network, nor its script to be read.

    Args:
      report: what `build_report` returned, or its JSON read back.
      rows: the per-image rows it is of, for the curves and the numbers of single images.
      figures: (caption, path of a PNG), in order.
      selection: the images to look at one by one.
    """
    frame, curves = build_curves(rows)
    tables = tabulate(report)
    explained = order_pairs([(line["attribution"], line["pooling"]) for line in report["rows"]])
    return load_template(Path(__file__).with_name("page.html.jinja")).render(
        report=report,
        metrics=[metric for table in tables for metric in table.metrics],
        source=describe_source(report),
        warnings=report.get("warnings", []),
        tables=tables,
        sure=SURE,
        null_names=[null.name for null in NULL_MAPS.values()],
        has_null=any(is_null(line["attribution"]) for line in report["rows"]),
        attributions=[name_attribution(name) for name in explained if not is_null(name)],
        poolings=[name_pooling(pooling) for pooling in list_poolings(report)],
        accuracies=describe_accuracies(report),
        strokes=STROKES[: max(2, *(place + 1 for place in place_strokes(list_poolings(report)).values()))],
        accuracy_name=name_accuracy(report),
        accuracy_note=explain_accuracy(report),
        counted=word_images(report),
        numbers=describe_numbers(report),
        passes=describe_passes(report),
        agreement=tabulate_agreement(report["agreement"]) if "agreement" in report else [],
        agreement_meaning=MEANING,
        number=format_number,
        frame=frame,
        curves=curves,
        bands=describe_bands(),
        cases=build_cases(selection, rows) if selection else [],
        scale=draw_scale(),
        index=build_index(selection, rows) if selection else {},
        choices=[(CHOICE_NAMES.get(name, name), value) for name, value in report["protocol_choices"].items()],
        settings=[(SETTING_NAMES.get(name, name), value) for name, value in report["settings"].items()],
        duration=format_duration(report["seconds"]),
        figures=[(caption, to_data_uri(Path(path).read_bytes(), "image/png")) for caption, path in figures],
    )


def format_duration(seconds: float) -> str:
    """Return a time for people, such as "1 h 02 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
