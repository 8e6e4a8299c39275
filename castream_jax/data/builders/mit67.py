"""`mit67`: MIT Indoor Scenes, 67 classes, from the archive and the official lists that a user has downloaded.

Its records are in the order of the lists, which mix the classes, so that the first images of a split are of many.
"""

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

from castream_jax.data.pictures.decoding import attempt, load
from castream_jax.errors import InputError

HOMEPAGE = "http://web.mit.edu/torralba/www/indoor.html"
ARCHIVE = "indoorCVPR_09.tar"
LISTS = {"train": ("TrainImages.txt", 5360), "test": ("TestImages.txt", 1340)}
"""The file that lists each split's images, and how many those are."""


@dataclass(frozen=True)
class ArchiveImages:
    """The images of one split, by index, read from where they lie in the archive."""

    archive: Path
    class_names: tuple[str, ...]
    names: tuple[str, ...]
    """`class/file` of every image."""
    places: tuple[tuple[int, int], ...]
    """First byte and number of bytes in the archive."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        name, (start, size) = self.names[index], self.places[index]
        with self.archive.open("rb") as file:
            file.seek(start)
            data = file.read(size)
        label = self.class_names.index(name.partition("/")[0])
        return {"image": as_jpeg(data, f"{name} in {self.archive}"), "label": label, "id": name}

    def list_files(self) -> list[tuple[str, int]]:
        """Return name and bytes of every image."""
        return [(name, size) for name, (_, size) in zip(self.names, self.places, strict=True)]


def open_archive(manual: Path) -> dict[str, ArchiveImages]:
    """Return the images of the splits `train` and `test`.

    Args:
      manual: the folder with `indoorCVPR_09.tar`, `TrainImages.txt` and `TestImages.txt`.

    Raises:
      InputError: one of the three is missing or not what it should be, or the archive lacks a listed image.
    """
    files = [ARCHIVE, *(file for file, _ in LISTS.values())]
    if missing := [file for file in files if not (manual / file).is_file()]:
        raise InputError(
            f"mit67 is made from {', '.join(files)}; missing in {manual}: {', '.join(missing)}. Download them from "
            f"{HOMEPAGE} into one folder and name it with --manual=DIR."
        )
    lists = {split: read_list(manual / file, count) for split, (file, count) in LISTS.items()}
    class_names = sorted({name.partition("/")[0] for names in lists.values() for name in names})
    places = find_files(manual / ARCHIVE)
    absent = [name for names in lists.values() for name in names if name not in places]
    if absent:
        raise InputError(
            f"{manual / ARCHIVE} lacks {len(absent)} of the listed images, first Images/{absent[0]}: download it "
            f"again from {HOMEPAGE}."
        )
    return {
        split: ArchiveImages(manual / ARCHIVE, tuple(class_names), tuple(names), tuple(places[name] for name in names))
        for split, names in lists.items()
    }


def read_list(file: Path, count: int) -> list[str]:
    """Return the `class/file` lines of an official list."""
    names = file.read_text(errors="replace").split("\n")
    names = [name.strip() for name in names if name.strip()]
    wrong = [name for name in names if name.count("/") != 1]
    if wrong or len(set(names)) != count:
        what = f"a line {wrong[0][:80]!r}" if wrong else f"{len(set(names))} images"
        raise InputError(
            f"{file} has {what}: expected {count} lines of the form class/file.jpg. Download it again from {HOMEPAGE}."
        )
    return names


def find_files(archive: Path) -> dict[str, tuple[int, int]]:
    """Return first byte and size of each file under `Images/` in a tar archive, after one pass over its headers."""
    try:
        with tarfile.open(archive, "r:") as tar:
            files = {member.name.removeprefix("./"): member for member in tar if member.isfile()}
    except (tarfile.TarError, EOFError) as error:
        raise InputError(f"{archive} is no whole tar archive ({error}): download it again from {HOMEPAGE}.") from error
    return {
        name.removeprefix("Images/"): (member.offset_data, member.size)
        for name, member in files.items()
        if name.startswith("Images/")
    }


def as_jpeg(data: bytes, name: str) -> bytes:
    """Return JPEG bytes: the same where Pillow reads them as JPEG, grey ones too; else, under a .jpg name, there are
    pictures of other formats in the archive, and those are encoded anew.
    """
    try:
        image = attempt(lambda: load(data)).image
    except InputError as error:
        raise InputError(f"{name} cannot be decoded ({error}): download the archive again from {HOMEPAGE}.") from error
    if image.format == "JPEG":
        return data
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
