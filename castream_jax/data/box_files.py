"""Which file of boxes is of which picture: by path, and by bare name only where that cannot be another's."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from castream_jax.data.sources.splits import KIND
from castream_jax.errors import InputError

SUFFIX = ".xml"


@dataclass(frozen=True)
class BoxFiles:
    """The files of boxes in a folder.

    A picture and a file fit if they have one name and no folder says that the file is of another class or split. Of
    several files that fit, it is the one that has the longest end of the path in common, `<split>/<class>/<picture>`.
    """

    directory: Path
    split: str
    by_name: Mapping[str, tuple[str, ...]]
    """By bare name, the paths under the folder, without suffix."""
    class_names: frozenset[str]

    @property
    def paths(self) -> list[str]:
        """All paths, without suffix, sorted."""
        return sorted(path for paths in self.by_name.values() for path in paths)

    def file(self, path: str) -> Path:
        """Return the file of a path without suffix."""
        return self.directory / f"{path}{SUFFIX}"

    def find(self, picture: str, class_name: str) -> tuple[str, int] | None:
        """Return the file that is of a picture, and how many parts at the end of their paths are the same.

        Args:
          picture: its path in its split; empty: not known.
          class_name: its class.

        Raises:
          InputError: several files fit as well.
        """
        wanted = (self.split, *parts_of(picture))
        ranked: dict[int, list[str]] = {}
        for path in self.by_name.get(wanted[-1], ()) if picture else ():
            parts = path.split("/")
            if not any(part in self.class_names and part not in (class_name, *wanted) for part in parts[:-1]):
                ranked.setdefault(count_common(parts, wanted), []).append(path)
        if not ranked:
            return None
        common, best = max(ranked.items())
        if len(best) > 1:
            raise InputError(
                f"{picture} has two files of boxes in {self.directory}, {best[0]}{SUFFIX} and {best[1]}{SUFFIX}: "
                f"expected one, as {'/'.join(wanted[1:])}{SUFFIX}."
            )
        return best[0], common

    def find_whole(self, picture: str, class_name: str) -> str | None:
        """Return the file that has the whole path of a picture, for where not all pictures are known; as `find`."""
        found = self.find(picture, class_name)
        return found[0] if found and found[1] >= len(parts_of(picture)) else None

    def match(self, pictures: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return the file of each picture of a split that has one.

        Args:
          pictures: all of them, each with its class.

        Raises:
          InputError: as for `find`, or a file fits several pictures as well.
        """
        fitting: dict[str, list[tuple[int, str]]] = {}
        for picture, class_name in pictures:
            if found := self.find(picture, class_name):
                path, common = found
                fitting.setdefault(path, []).append((common, picture))
        matches = {}
        for path, holders in fitting.items():
            closest = max(holders)
            equal = [name for common, name in holders if common == closest[0]]
            if len(equal) > 1:
                raise InputError(
                    f"the boxes of {self.file(path)} may be of {equal[0]} or of {equal[1]}, of split {self.split!r}: "
                    f"expected a file for each, as {'/'.join(parts_of(equal[0]))}{SUFFIX}, and no two pictures that "
                    "differ in their suffixes alone."
                )
            matches[closest[1]] = path
        return matches


def list_box_files(directory: Path, split: str, class_names: frozenset[str]) -> BoxFiles:
    """List the files of a folder and its sub-folders, but for hidden ones and folders of other splits.

    Raises:
      InputError: no such folder, or no files in it.
    """
    if not os.path.isdir(directory):
        raise InputError(f"data.boxes is {str(directory)!r}: there is no such folder.")
    by_name: dict[str, list[str]] = {}
    for parent, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if name[0] != "." and not is_other_split(name, split, class_names)]
        prefix = "" if Path(parent) == directory else f"{Path(parent).relative_to(directory).as_posix()}/"
        for name in names:
            if name.endswith(SUFFIX) and name[0] != ".":
                stem = name.removesuffix(SUFFIX)
                by_name.setdefault(stem, []).append(prefix + stem)
    if not by_name:
        raise InputError(
            f"data.boxes is {str(directory)!r}: no {SUFFIX} files of split {split!r} are there; expected "
            f"<picture>{SUFFIX}."
        )
    return BoxFiles(directory, split, {name: tuple(sorted(paths)) for name, paths in by_name.items()}, class_names)


def is_other_split(folder: str, split: str, class_names: frozenset[str]) -> bool:
    """Return whether a folder's name is that of another split; a class may have such a name, too."""
    kind, own = KIND.get(folder.lower()), KIND.get(split.lower())
    return kind is not None and own is not None and kind != own and folder not in class_names


def count_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many parts at the end of two paths are the same."""
    count = 0
    for mine, theirs in zip(reversed(one), reversed(other)):
        if mine != theirs:
            break
        count += 1
    return count


def parts_of(picture: str) -> tuple[str, ...]:
    """Return the parts of a picture's path, the last one without suffix."""
    *folders, name = picture.split("/")
    return (*folders, os.path.splitext(name)[0])
