"""What pages are made with."""

import base64
import io

import jinja2
import numpy as np
import pytest
from PIL import Image

from castream_jax.drawing.page import load_template, to_data_uri, to_jpeg


def test_a_template_includes_its_neighbours_and_escapes_what_it_is_given(tmp_path):
    (tmp_path / "a.jinja").write_text('{% include "b.jinja" %} {{ name }}')
    (tmp_path / "b.jinja").write_text("<b>")
    assert load_template(tmp_path / "a.jinja").render(name="<i>") == "<b> &lt;i&gt;"
    with pytest.raises(jinja2.UndefinedError, match="name"):
        load_template(tmp_path / "a.jinja").render()
    with pytest.raises(jinja2.TemplateNotFound):
        load_template(tmp_path / "c.jinja")


def test_bytes_and_pictures_come_back_from_their_data_uris():
    assert base64.b64decode(to_data_uri(b"\x00\xff", "image/png").removeprefix("data:image/png;base64,")) == b"\x00\xff"
    pixels = np.add.outer(np.arange(24) * 5, np.arange(32) * 3).astype(np.uint8)
    encoded = base64.b64decode(to_jpeg(Image.fromarray(pixels), 95).removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(encoded), formats=["JPEG"]) as image:
        np.testing.assert_allclose(np.asarray(image).astype(int), pixels, atol=4)
