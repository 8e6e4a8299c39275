"""What pages in one file are made with: templates, and pictures and other bytes as text in them."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from castream_jax.errors import escape


def load_template(file: Path) -> jinja2.Template:
    """Return a template, which may include others of its folder and of this one; what it is given is text, and escaped.

    So are control characters (`errors.escape`), in its JSON too: a name shows all that it is made of, in its order.

    Raises:
      jinja2.TemplateNotFound: no such file.
      jinja2.UndefinedError: later, where the template is rendered without a value that it names.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([file.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else show_controls(value),
    )
    environment.policies["json.dumps_function"] = lambda value, **options: json.dumps(show_controls(value), **options)
    return environment.get_template(file.name)


def show_controls(value: Any) -> Any:
    """Return a value with the control characters of every text in it escaped."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {show_controls(key): show_controls(item) for key, item in value.items()}
    return [show_controls(item) for item in value] if isinstance(value, list | tuple) else value


def to_base64(data: bytes) -> str:
    """Return bytes in base 64."""
    return base64.b64encode(data).decode()


def to_data_uri(data: bytes, kind: str) -> str:
    """Return a file's bytes as a data URI; `kind` is its media type, such as "image/png"."""
    return f"data:{kind};base64,{to_base64(data)}"


def to_jpeg(picture: Image.Image, quality: int, **options: Any) -> str:
    """Return a picture as the data URI of a JPEG; `options` are Pillow's."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, **options)
    return to_data_uri(file.getvalue(), "image/jpeg")
