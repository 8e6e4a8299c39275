"""A folder to a repository of the Hugging Face hub."""

import re
from pathlib import Path

import huggingface_hub
import huggingface_hub.errors

from castream_jax.errors import InputError, RunError
from castream_jax.weights.bounds import short
from castream_jax.weights.hub import NAME


def check_repository(address: str) -> None:
    """Raise `InputError` unless an address is "user/name"."""
    if not re.fullmatch(f"{NAME.pattern}/{NAME.pattern}", address, re.ASCII):
        raise InputError(f"--to is {address!r}: expected a repository of the Hugging Face hub, as in user/name.")


def upload_folder(folder: Path, address: str, private: bool) -> str:
    """Make a repository where there is none, put a folder's files into it as one commit, and return its address.

    Raises:
      InputError: nobody is logged in, or they may not write there.
      RunError: the hub cannot be reached.
    """
    api = huggingface_hub.HfApi()
    try:
        made = api.create_repo(address, private=private, exist_ok=True)
        api.upload_folder(repo_id=address, folder_path=folder, commit_message="Network, report and card")
    except huggingface_hub.errors.LocalTokenNotFoundError as error:
        raise InputError(
            f"--to {address}: nobody is logged in to the hub. Run hf auth login, or set HF_TOKEN."
        ) from error
    except huggingface_hub.errors.HFValidationError as error:
        raise InputError(f"--to is {address!r}, which the hub does not allow ({short(str(error))}).") from error
    except huggingface_hub.errors.HfHubHTTPError as error:
        code = error.response.status_code
        if code in (401, 403):
            raise InputError(
                f"--to {address}: the hub does not let you write there ({code}). Run hf auth login, or set "
                "HF_TOKEN, with a token that may write."
            ) from error
        raise RunError(f"the hub did not take {address} ({code}): run the same command again later.") from error
    except Exception as error:  # connections fail in many classes, which depend on the library's version
        raise RunError(f"{address} cannot be uploaded ({short(str(error))}): connect, and run it again.") from error
    return str(made)
