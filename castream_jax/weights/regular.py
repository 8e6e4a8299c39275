"""Files that are safe to open: regular ones, of a size that a network's weights may have."""

import stat
from pathlib import Path

from castream_jax.errors import InputError

LARGEST = 2**33
"""In bytes. The largest network here has 0.8 GB of weights; with Adam's state and a moving average, four times that."""

KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def check_regular(path: Path) -> int:
    """Return the size in bytes of a weight file, before anything of it is read.

    Raises:
      InputError: there is no such file, it is no regular file, or it is larger than any network's weights.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"there is no weight file {str(path)!r}.") from error
    except (OSError, ValueError) as error:  # a name that is too long, or holds a null
        said = getattr(error, "strerror", None) or error
        raise InputError(f"cannot open the weight file {short(str(path))!r}: {said}.") from error
    if not stat.S_ISREG(found.st_mode):
        kind = KINDS.get(stat.S_IFMT(found.st_mode), "no file")
        raise InputError(f"{str(path)!r} is {kind}: expected a file of weights.")
    if found.st_size > LARGEST:
        raise InputError(
            f"{str(path)!r} has {found.st_size} bytes: expected at most {LARGEST}, which is several times what the "
            "largest network here needs. Save the network's state dict alone."
        )
    return found.st_size


def exists(path: Path) -> bool:
    """Return whether there is anything at a path; not so where it can be no path."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, a null
        return False


def short(text: str, longest: int = 200) -> str:
    """Return a name as a message can hold it: its beginning and its end."""
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[-longest // 4 :]}"
