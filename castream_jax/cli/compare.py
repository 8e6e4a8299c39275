"""`castream compare A B`: compares two evaluations, image by image."""

import sys
from collections.abc import Sequence
from pathlib import Path

from castream_jax.cli.arguments import Parser
from castream_jax.cli.ending import ends_in_a_message
from castream_jax.errors import InputError
from castream_jax.report.comparison import render_comparison
from castream_jax.report.pairing import load_evaluation
from castream_jax.report.statistics import RESAMPLES, SEED

FEWEST_RESAMPLES = 100
"""With fewer, the ends of the interval rest on one or two of them."""


def main(argv: Sequence[str] | None = None) -> None:
    """Print the comparison that a command line asks for; exit with code 2 and one message after a mistake."""
    parser = Parser(prog="castream compare", description="Compares two evaluations.", allow_abbrev=False)
    for name in ("A", "B"):
        parser.add_argument(name, type=Path, help="work directory, evaluation directory, or rows.parquet")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="of the bootstrap (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the bootstrap (default: %(default)s)")
    with ends_in_a_message():
        arguments = parser.parse_args((sys.argv if argv is None else argv)[1:])
        if arguments.resamples < FEWEST_RESAMPLES:
            raise InputError(f"--resamples {arguments.resamples}: expected at least {FEWEST_RESAMPLES}.")
        if arguments.seed < 0:
            raise InputError(f"--seed {arguments.seed}: expected 0 or more.")
        a, b = load_evaluation(arguments.A), load_evaluation(arguments.B)
        print(render_comparison(a, b, arguments.resamples, arguments.seed))
