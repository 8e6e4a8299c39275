"""Files of boxes, right and not: PASCAL VOC's XML, with what they say of a picture of 40 x 30 pixels."""

from collections.abc import Callable

import numpy as np

WIDTH, HEIGHT = 40, 30
CLASS = "dog"
BOX = (5, 10, 20, 35)
"""ymin, xmin, ymax, xmax in pixels."""

Box = tuple[object, object, object, object]


def describe_object(box: Box, name: str = CLASS, more: str = "") -> str:
    """Return one object."""
    corners = zip(("ymin", "xmin", "ymax", "xmax"), box)
    bounds = "".join(f"<{corner}>{value}</{corner}>" for corner, value in corners)
    return f"<object><name>{name}</name>{more}<bndbox>{bounds}</bndbox></object>"


def describe(*objects: str, size: tuple[object, object] = (WIDTH, HEIGHT), head: str = "", more: str = "") -> str:
    """Return a file of objects."""
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"{head}<annotation><filename>x.png</filename>{sides}{more}{''.join(objects)}</annotation>"


def fill(*boxes: tuple[float, float, float, float]) -> np.ndarray:
    """Return where boxes are in the picture, bool [H W]."""
    y, x = np.arange(HEIGHT)[:, None] + 0.5, np.arange(WIDTH) + 0.5
    found = np.zeros((HEIGHT, WIDTH), bool)
    for ymin, xmin, ymax, xmax in boxes:
        found |= (ymin <= y) & (y < ymax) & (xmin <= x) & (x < xmax)
    return found


ONE = describe_object(BOX)
PLAIN = describe(ONE)
TRUTH = fill(BOX)


def entity_bomb(depth: int = 30, width: int = 10) -> str:
    """Return a small file whose entities are huge once they are put in."""
    lines = [f'<!ENTITY e{i} "{f"&e{i - 1};" * width}">' for i in range(1, depth)]
    head = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e0 "lol">{"".join(lines)}]>'
    return describe(describe_object(BOX, f"&e{depth - 1};"), head=head)


def quadratic_bomb() -> str:
    """Return a file that puts one long entity in many times."""
    head = f'<!DOCTYPE a [<!ENTITY e "{"x" * 500_000}">]>'
    return describe(*[describe_object(BOX, "&e;" * 4_000)], head=head)


READABLE: dict[str, tuple[bytes, np.ndarray]] = {
    "one box": (PLAIN.encode(), TRUTH),
    "two boxes": (describe(ONE, describe_object((0, 0, 9, 9))).encode(), fill(BOX, (0, 0, 9, 9))),
    "a declaration": (f'<?xml version="1.0" encoding="UTF-8"?>\n{PLAIN}'.encode(), TRUTH),
    "a byte order mark": (PLAIN.encode("utf-8-sig"), TRUTH),
    "UTF-16": (f'<?xml version="1.0" encoding="UTF-16"?>{PLAIN}'.encode("utf-16"), TRUTH),
    "Latin-1": (
        f'<?xml version="1.0" encoding="ISO-8859-1"?>{describe(ONE, more="<owner>é</owner>")}'.encode("latin-1"), TRUTH
    ),
    "spaces and lines": (PLAIN.replace(">", ">\n ").replace("</", " \n</").encode(), TRUTH),
    "fractions": (describe(describe_object((5.0, "1e1", "20.", 35))).encode(), TRUTH),
    "a comment": (PLAIN.replace("<ymin>", "<!-- c --><ymin>").encode(), TRUTH),
    "parts of an object": (
        describe(describe_object(BOX, more="<part><name>head</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>3</xmax>"
                                           "<ymax>3</ymax></bndbox></part>")).encode(), TRUTH
    ),
    "up to the border": (describe(describe_object((0, 0, HEIGHT, WIDTH))).encode(), fill((0, 0, HEIGHT, WIDTH))),
}  # fmt: skip
"""Content, and where the object is."""

SAME = {
    "no objects": describe(),
    "an object of another class": describe(ONE, describe_object((0, 0, 30, 40), "person")),
    "a corner beyond by one": describe(describe_object((0, 0, HEIGHT + 1, WIDTH + 1))),
    "corners far beyond": describe(describe_object((0, 0, 3_000, 4_000))),
    "corners below zero": describe(describe_object((-5, -5, 20, 35))),
    "a box of no area": describe(describe_object((5, 10, 5, 10))),
    "a namespace": PLAIN.replace("<annotation>", '<annotation xmlns="http://example.org">'),
    "two sizes": PLAIN.replace("<size>", "<size><width>80</width><height>60</height></size><size>", 1),
    "two xmin": PLAIN.replace("<xmin>", "<xmin>0</xmin><xmin>"),
    "an object without a box": describe(ONE, "<object><name>dog</name></object>"),
    "a polygon": describe("<object><name>dog</name><polygon><x1>1</x1></polygon></object>"),
    "another file's name": PLAIN.replace("x.png", "y.png"),
    "a segmented object": PLAIN.replace("<object>", "<segmented>1</segmented><object>"),
}
"""What may be read in more ways than one."""

REFUSED: dict[str, bytes | Callable[[], bytes]] = {
    "nothing": b"",
    "spaces": b"  \n",
    "text": b"no boxes",
    "JSON": b'{"a": 1}',
    "cut": PLAIN[:100].encode(),
    "two roots": (PLAIN + PLAIN).encode(),
    "no size": PLAIN.replace("<size>", "<siz>").replace("</size>", "</siz>").encode(),
    "no width": PLAIN.replace("width", "wide").encode(),
    "size 0": describe(ONE, size=(0, 0)).encode(),
    "size below zero": describe(ONE, size=(-40, -30)).encode(),
    "size of infinity": describe(ONE, size=("inf", "inf")).encode(),
    "size that is NaN": describe(ONE, size=("nan", "nan")).encode(),
    "size of another picture": describe(ONE, size=(400, 200)).encode(),
    "size of a turned picture": describe(ONE, size=(HEIGHT, WIDTH)).encode(),
    "no corner": PLAIN.replace("<xmin>10</xmin>", "").encode(),
    "an empty corner": PLAIN.replace("<xmin>10", "<xmin>").encode(),
    "a corner that is NaN": describe(describe_object(("nan", 10, 20, 35))).encode(),
    "a corner at infinity": describe(describe_object((5, 10, "inf", 35))).encode(),
    "a corner of 400 digits": describe(describe_object((5, 10, "9" * 400, 35))).encode(),
    "a corner in words": describe(describe_object(("five", 10, 20, 35))).encode(),
    "a corner with an underscore": describe(describe_object((5, 10, "2_0", 35))).encode(),
    "corners with commas": describe(describe_object(("5,0", 10, "20,0", 35))).encode(),
    "corners the other way round": describe(describe_object((20, 35, 5, 10))).encode(),
    "xmin beyond xmax": describe(describe_object((5, 35, 20, 10))).encode(),
    "a control character": PLAIN.replace("dog", "do\x1bg").encode(),
    "no UTF-8": PLAIN.replace("dog", "d\udcff").encode(errors="surrogateescape"),
    "an unknown encoding": f'<?xml version="1.0" encoding="x-none"?>{PLAIN}'.encode(),
    "an encoding that it has not": f'<?xml version="1.0" encoding="UTF-16"?>{PLAIN}'.encode(),
    "a file within": describe(
        describe_object(BOX, "&f;"), head='<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    ).encode(),
    "an address within": describe(
        describe_object(BOX, "&f;"), head='<!DOCTYPE a [<!ENTITY f SYSTEM "http://127.0.0.1:1/">]>'
    ).encode(),
    "entities that double": lambda: entity_bomb().encode(),
    "an entity many times": lambda: quadratic_bomb().encode(),
}
"""What is no file of boxes, or says what cannot be."""

LARGE: dict[str, Callable[[], bytes]] = {
    "100,000 boxes": lambda: describe(*[ONE] * 100_000).encode(),
    "nested 200,000 deep": lambda: describe(more="<a>" * 200_000 + "</a>" * 200_000).encode(),
    "objects in objects": lambda: describe(more="<object>" * 50_000 + "</object>" * 50_000).encode(),
    "a text of 50 MB": lambda: describe(describe_object(BOX, "x" * 50_000_000)).encode(),
    "a number of 10 million digits": lambda: describe(describe_object((5, 10, "9" * 10_000_000, 35))).encode(),
    "100,000 attributes": lambda: PLAIN.replace(
        "<size>", "<size " + " ".join(f'a{i}="1"' for i in range(100_000)) + ">", 1
    ).encode(),
    "a million comments": lambda: PLAIN.replace("<size>", "<!---->" * 1_000_000 + "<size>", 1).encode(),
}
"""What takes memory or time; whatever is said of it is right, in bounds."""
