"""Rows of six poolings, made of rows of two: what reports are given, without a network."""

import pyarrow as pa

from tests.evaluation.synthetic import METRIC_COLUMNS, NULL_PAIRS, PAIRS, create_rows

POOLINGS = ("gap", "ca(taps=stage3+stage4)", "simpool", "ep", "class_attention", "gem(p=4)")
"""In the order of a config."""
NAMES = ["GAP", "CA (taps=stage3+stage4)", "SimPool", "Efficient probing", "Class attention", "GeM (p=4)"]
ATTENDING = ("ca(taps=stage3+stage4)", "simpool", "ep", "class_attention")
"""Those that have raw attention."""
CURVES = ("insertion_curve", "deletion_curve")


def create_many_rows(images=9, nulls=True, shift=0.05) -> pa.Table:
    """Return rows of six poolings: those of GAP, and of CA under five names, each `shift` of the way nearer to 1."""
    rows = create_rows((*PAIRS, *(NULL_PAIRS if nulls else ())), images)
    records = []
    for record in rows.to_pylist():
        if record["pooling"] == "gap":
            records.append(record)
            continue
        for i, pooling in enumerate(ATTENDING if record["attribution"] == "attention" else POOLINGS[1:]):
            moved = {name: record[name] + i * shift * (1 - record[name]) for name in METRIC_COLUMNS}
            moved |= {name: [p + i * shift * (1 - p) for p in record[name]] for name in CURVES}
            records.append(record | moved | {"pooling": pooling})
    return pa.Table.from_pylist(records, schema=rows.schema)
