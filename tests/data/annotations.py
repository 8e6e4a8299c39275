"""Files of boxes, as PASCAL VOC writes them."""

from collections.abc import Sequence


def describe(boxes: Sequence, width: object = 500, height: object = 375, names: Sequence[str] = ()) -> str:
    """Return a file of boxes (ymin, xmin, ymax, xmax) in pixels."""
    corners = ("ymin", "xmin", "ymax", "xmax")
    objects = ""
    for i, box in enumerate(boxes):
        text = "".join(f"<{name}>{value}</{name}>" for name, value in zip(corners, box))
        name = f"<name>{names[i]}</name>" if names else ""
        objects += f"<object>{name}<bndbox>{text}</bndbox></object>"
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><folder>val</folder><filename>a</filename>{size}{objects}</annotation>"
