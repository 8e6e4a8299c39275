"""What a weight file may be at most, and how its names are shown."""

from pathlib import Path

from castream_jax.errors import InputError
from castream_jax.storage.regular_files import check_status

LARGEST = 2**33
"""In bytes. The largest network here has 0.8 GB of weights; with Adam's state and a moving average, four times that."""


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
    try:
        check_status(found, LARGEST)
    except InputError as error:
        raise InputError(
            f"cannot read the weight file {short(str(path))!r}: {error} Expected the state dict of a network alone."
        ) from error
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
