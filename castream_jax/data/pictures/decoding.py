"""The one decoder of pictures: for training, evaluation and explanation alike, from a file to RGB of 8 bits.

open (formats that are meant, within bounds) -> load -> 8 bits -> RGB, on white -> upright
"""

import io
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Literal, TypeVar

import numpy as np
from PIL import Image, ImageChops, TiffImagePlugin, UnidentifiedImageError

from castream_jax.config import DataConfig
from castream_jax.data.pictures.depth import check_colours, is_deep, raw_mode, read_tag, to_8_bits
from castream_jax.data.pictures.picture_formats import NAMES, readable, recognise
from castream_jax.errors import InputError
from castream_jax.models.inputs import Preprocessing

Result = TypeVar("Result")

MAX_PIXELS = 110_000_000
"""Of a picture: what nearly all cameras and phones make, and a gigabyte while it is decoded."""
MAX_BYTES = 2**28
"""Of a picture's file, 256 MiB: more than any within `MAX_PIXELS` is worth."""
MAX_SIDE = 1_000_000
"""Of a picture: the memory of resizing grows with its sides."""
ORIENTATION, REDUCED, DNG = 0x0112, 0x00FE, 0xC612
"""Tags of EXIF and TIFF."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a stored picture upright, by its EXIF orientation."""
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that swap width and height."""
BACK = {6: 8, 8: 6}
"""The orientations whose turns are undone by another's."""
STRAIGHT = {"La": "LA", "RGBa": "RGBA"}
"""Modes of colours that are multiplied by alpha, and those of the same colours that are not."""
WITH_ALPHA = ("RGBA", "LA", "PA", "P", "RGB", "L", "1")
"""Modes whose transparency Pillow knows how to tell."""
KEY_SCALES = {"1": 255, "L;2": 85, "L;4": 17}
"""By which Pillow multiplies grey of few bits, but not the grey that PNG calls transparent."""


@dataclass(frozen=True)
class Decoding:
    """What there is to choose, as `config.DataConfig` says it."""

    orientation: Literal["upright", "stored"] = "upright"
    """Turn a picture as its EXIF orientation says, or take it as it is stored."""
    transparency: Literal["white", "drop"] = "white"
    """Put a transparent picture on white, or drop its alpha and see what that hides."""

    @classmethod
    def of(cls, chosen: DataConfig | Preprocessing) -> "Decoding":
        """Return what a config chooses, or a network was trained on."""
        return cls(chosen.orientation, chosen.transparency)


AS_SEEN = Decoding()
"""As people see pictures, and so as they label them."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture, and what was met in it."""

    image: Image.Image
    """RGB."""
    orientation: int
    """EXIF's, 1 to 8; 1 stands upright as it is stored."""
    is_transparent: bool
    """Some of its pixels are, at least in part."""

    @property
    def is_oriented(self) -> bool:
        """Whether it does not stand upright as it is stored."""
        return self.orientation != 1

    @property
    def counts(self) -> "PictureCounts":
        """It alone, for a run's counts."""
        return PictureCounts(1, int(self.is_oriented), int(self.is_transparent))


@dataclass(frozen=True)
class PictureCounts:
    """How many pictures a run met, and in how many of them a choice of `Decoding` made a difference."""

    images: int = 0
    oriented: int = 0
    transparent: int = 0

    def __add__(self, other: "PictureCounts") -> "PictureCounts":
        return PictureCounts(*(a + b for a, b in zip(astuple(self), astuple(other))))

    def describe(self, decoding: Decoding) -> str:
        """Return in words what was met and what was done; empty where it was nothing."""
        turned = {"upright": "turned upright", "stored": "taken as they are stored, not upright"}[decoding.orientation]
        put = {"white": "put on white", "drop": "taken without their alpha"}[decoding.transparency]
        said = []
        if self.oriented:
            said.append(
                f"{self.oriented:,} with an EXIF orientation {turned} (data.orientation={decoding.orientation})"
            )
        if self.transparent:
            said.append(f"{self.transparent:,} transparent {put} (data.transparency={decoding.transparency})")
        return f"of {self.images:,} pictures, {' and '.join(said)}" if said else ""


@dataclass(frozen=True)
class Loaded:
    """A picture in its own mode."""

    image: Image.Image
    stored: str
    """Its `depth.raw_mode`."""
    orientation: int
    """EXIF's, 1 to 8."""
    is_upright: bool
    """It has been turned already, as Pillow does for TIFF."""


def decode(source: bytes | Image.Image, decoding: Decoding = AS_SEEN) -> Picture:
    """Return a picture as RGB of 8 bits.

    Args:
      source: a file's bytes, of any format in `formats.READ`, or what Pillow opened, which is left as it is; of an
        animation, the first picture counts.
      decoding: what is done about orientation and transparency.

    Raises:
      InputError: no picture, one of a format that is not read, damaged or too large, or values whose white is unknown.
    """
    return attempt(lambda: convert(source, decoding))


def attempt(read: Callable[[], Result]) -> Result:
    """Return what `read` does, or raise `InputError`, without the decoder's error, which holds some of the picture."""
    try:
        return read()
    except InputError as error:
        reason = str(error)
    except Image.DecompressionBombError:
        reason = f"it has far more than {MAX_PIXELS:,} pixels, the most that are read. Make it smaller."
    except Exception as error:  # decoders raise whatever their parsing hits: OSError, SyntaxError, struct.error, ...
        said = (str(error) or type(error).__name__).splitlines()[0]
        reason = f"it is damaged or not whole ({said}). Download or convert it again, or take it out."
    raise InputError(reason)


def convert(source: bytes | Image.Image, decoding: Decoding) -> Picture:
    """Return a picture as RGB of 8 bits; raises whatever the decoders do."""
    loaded = load(source)
    orientation, is_upright = loaded.orientation, loaded.is_upright
    colours, alpha = separate(loaded.image, loaded.stored)
    del loaded  # of a large picture, each form takes much memory
    is_transparent = alpha is not None and alpha.getextrema() != (255, 255)
    if alpha is not None and is_transparent and decoding.transparency == "white":
        colours.paste((255, 255, 255), mask=ImageChops.invert(alpha))
    return Picture(arrange(colours, orientation, is_upright, decoding.orientation), orientation, is_transparent)


def separate(image: Image.Image, stored: str) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours of a loaded picture, RGB, and its alpha, L; None where it has none."""
    if image.mode in STRAIGHT:
        image = image.convert(STRAIGHT[image.mode])
    alpha = find_alpha(image, stored)
    if is_deep(image):
        return to_8_bits(image, stored).convert("RGB"), alpha
    check_colours(image, stored)
    if "transparency" in image.info:  # changes no pixel, but Pillow would warn that RGB cannot hold it
        image = image.copy()
        del image.info["transparency"]
    return image.convert("RGB"), alpha


def find_alpha(image: Image.Image, stored: str) -> Image.Image | None:
    """Return how opaque a loaded picture is, L; None where it is of a kind that is opaque."""
    key = image.info.get("transparency")
    if is_deep(image):
        return None if key is None else Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8))
    if not image.has_transparency_data or image.mode not in WITH_ALPHA:
        return None
    if image.mode in ("RGBA", "LA"):
        return image.getchannel("A")
    if image.mode in ("1", "L") and isinstance(key, int):
        hidden = min(255, key * KEY_SCALES.get(stored, 1))
        return image.convert("L").point([0 if value == hidden else 255 for value in range(256)])
    if image.mode == "RGB" and ";16" in stored:
        raise InputError("it has colours of 16 bits, of which one is transparent: save it as 8 bits with an alpha.")
    return image.convert("RGBA").getchannel("A")


def arrange(image: Image.Image, orientation: int, is_upright: bool, wanted: str) -> Image.Image:
    """Return what was made of a loaded picture, pixel by pixel, "upright" or as it is "stored"."""
    if is_upright == (wanted == "upright"):
        return image
    return turn(image, BACK.get(orientation, orientation) if is_upright else orientation)


def turn(image: Image.Image, orientation: int) -> Image.Image:
    """Return a stored picture, or the mask of one, upright."""
    return image.transpose(TURNS[orientation]) if orientation != 1 else image


def load(source: bytes | Image.Image) -> Loaded:
    """Return a picture in its own mode; raises whatever the decoders do."""
    image = open_picture(source)
    check_size(image.size)
    stored = raw_mode(image)
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # which Pillow turns while it loads
        orientation = read_orientation(image)
        image.load()
        return Loaded(image, stored, orientation, is_upright=True)
    image.load()
    return Loaded(image, stored, read_orientation(image), is_upright=False)  # which may be told after the pixels


def open_picture(source: bytes | Image.Image) -> Image.Image:
    """Return a picture that is not loaded yet, or raise `InputError` for what is none of a format that is read."""
    if isinstance(source, Image.Image):
        if getattr(source, "tile", None) and source.format not in (*readable(), "MPO"):
            raise InputError(
                f"it is {source.format}, which is not read: expected {NAMES}. Load or convert it yourself."
            )
        return source
    try:
        image = Image.open(io.BytesIO(source), formats=readable())
    except UnidentifiedImageError as error:
        if foreign := recognise(source):
            raise InputError(f"it is {foreign.name}, which is not read: {foreign.advice}.") from error
        begins = f"{len(source):,} bytes that begin with {source[:8]!r}" if source else "an empty file"
        raise InputError(f"there is no picture in {begins}: expected {NAMES}, whole.") from error
    if isinstance(image, TiffImagePlugin.TiffImageFile) and (
        recognise(source) or DNG in image.tag_v2 or read_tag(image, REDUCED) == 1
    ):
        raise InputError("it is camera raw, of which only a thumbnail could be read: develop it to JPEG or PNG.")
    return image


def check_size(size: tuple[int, int]) -> None:
    """Raise `InputError` for a picture that is too large to be decoded."""
    width, height = size
    if width * height > MAX_PIXELS or max(size) > MAX_SIDE:
        raise InputError(
            f"it has {width:,} x {height:,} pixels: at most {MAX_PIXELS:,} are read, and {MAX_SIDE:,} on a side. "
            "Make it smaller."
        )


def read_orientation(image: Image.Image) -> int:
    """Return the orientation that EXIF or XMP tells, 1 to 8; 1 where none is told, or nothing that makes sense."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # of damaged EXIF, which no viewer minds, Pillow raises whatever its parsing hits
        return 1
    return int(orientation) if orientation in TURNS else 1
