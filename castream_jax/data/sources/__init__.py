"""The kinds of datasets, a record in a file for each; the first that claims a name opens it."""

from castream_jax.data.sources.arrow import ARROW_FOLDER
from castream_jax.data.sources.image_folder import IMAGE_FOLDER, NAMED_FOLDER
from castream_jax.data.sources.imagenet import IMAGENET_BY_FOLDER, IMAGENET_BY_NAME
from castream_jax.data.sources.kind import SourceKind, Wanted
from castream_jax.data.sources.listings import LISTING_FILE, METADATA_FOLDER
from castream_jax.data.sources.prepared import PREPARED, is_known
from castream_jax.data.sources.tar_shards import TAR_SHARDS
from castream_jax.data.sources.voc_folder import VOC_FOLDER
from castream_jax.errors import InputError

BY_NAME = (NAMED_FOLDER, IMAGENET_BY_NAME)
BY_PATH = (LISTING_FILE, TAR_SHARDS, ARROW_FOLDER, METADATA_FOLDER, VOC_FOLDER, IMAGENET_BY_FOLDER, IMAGE_FOLDER)
KINDS = (*BY_NAME, *BY_PATH, PREPARED)
PATHS = ("/", "./", "../", "~")
"""What begins a name that can only be a path."""


def find_kind(wanted: Wanted) -> SourceKind:
    """Return the kind of a dataset.

    Raises:
      InputError: a path where nothing is, or a setting that this kind does not read.
    """
    is_path = wanted.name.startswith(PATHS)
    by_path = BY_PATH if is_path or not is_known(wanted.name, wanted.directory) else ()
    kind = next(kind for kind in (*BY_NAME, *by_path, PREPARED) if kind.claims(wanted))
    if kind is PREPARED and is_path:
        forms = "; ".join(kind.form for kind in BY_PATH)
        raise InputError(f"data.name is {wanted.name!r}: there is no such folder or file. Expected one of: {forms}.")
    if wanted.columns and not kind.reads_columns:
        raise InputError(
            f"data.columns is {wanted.columns!r}: {wanted.name} is no listing with columns, it is {kind.form}. Leave "
            "data.columns out."
        )
    if wanted.directory and not kind.takes_directory:
        raise InputError(
            f"data.directory is {wanted.directory!r}, and data.name is itself a path, {wanted.name!r}: leave one out."
        )
    return kind
