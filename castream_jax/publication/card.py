"""The card of a published network: what it is, how it is loaded, what its explanations are worth, how it came about."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from castream_jax.importing import is_address
from castream_jax.models.classifier import Classifier
from castream_jax.report.schema import Report
from castream_jax.report.text import render_markdown
from castream_jax.version import VERSION

TEMPLATE = Path(__file__).with_name("card.md.jinja")


def render_card(address: str, model: Classifier, settings: Mapping[str, Any], reports: Mapping[str, Report]) -> str:
    """Return the card in Markdown.

    Args:
      address: of the repository, "user/name".
      model: the network.
      settings: of its experiment, as they are published.
      reports: of its evaluations, by the name of their protocol.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        address=address,
        model=model,
        own=settings["model"]["name"] if is_address(settings["model"]["name"]) else "",
        data=settings["data"],
        heads=settings["model"]["heads"],
        tables={name: render_markdown(report) for name, report in reports.items()},
        settings=json.dumps(settings, indent=2),
        version=VERSION,
    )
