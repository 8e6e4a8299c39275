"""What large files say of themselves, kept on the disk: to read it again would take minutes."""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from castream_jax.storage.replacement import replacing

VERSION = 1
"""Of what is kept; another one is not read."""


def kept_directory() -> Path:
    """Return where listings are kept: in the user's cache, as a dataset may lie where nobody may write."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "castream_jax" / "listings"


def recall_listing(file: Path, choices: object) -> Any:
    """Return what `keep_listing` kept of a file, None if there is nothing, or the file changed in size or time.

    Args:
      file: the large one.
      choices: what the listing depends on beside it, ready for JSON.
    """
    try:
        kept = json.loads(_place(file, choices).read_bytes())
        return kept["said"] if kept["of"] == _describe(file, choices) else None
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        return None  # it is read anew


def keep_listing(file: Path, choices: object, said: object) -> None:
    """Keep what was read of a file, where that is possible."""
    with contextlib.suppress(OSError, RuntimeError), replacing(_place(file, choices)) as path:
        path.write_text(json.dumps({"of": _describe(file, choices), "said": said}), encoding="utf-8")


def _place(file: Path, choices: object) -> Path:
    about = json.dumps([str(file.absolute()), choices])
    return kept_directory() / f"{hashlib.sha256(about.encode(errors='surrogateescape')).hexdigest()}.json"


def _describe(file: Path, choices: object) -> list[Any]:
    status = file.stat()
    return [VERSION, str(file.absolute()), status.st_size, status.st_mtime_ns, choices]
