"""What a pickle names: labels that stand in for torch's classes and functions, and for everything else.

A label is looked up, never imported. `ALLOWED` holds what a file of tensors needs; any other name is an `Opaque`,
which is passed over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from castream_jax.errors import InputError

DOWNLOAD_AGAIN = "Download or copy it again."
LONGEST = 2**63
"""Sizes, strides and offsets are below this."""
LARGEST_KEY = 2**61 - 1
"""Whole numbers below this have hashes of their own: a dict of them takes no longer than its size."""


@dataclass(frozen=True, eq=False)
class Opaque:
    """A value that is not read: a class, or whatever a pickle makes of it. Nothing of it is run."""

    name: str
    """Of the class or function, with its module."""


@dataclass(frozen=True, eq=False)
class StorageType(Opaque):
    """The label of a storage class."""

    dtype: np.dtype


@dataclass(frozen=True, eq=False)
class ScalarType(Opaque):
    """The label of a dtype that has no storage class."""

    dtype: np.dtype


@dataclass(frozen=True, eq=False)
class Constructor(Opaque):
    """The label of a class or function that a pickle may call, and what is called in its place."""

    construct: Callable[..., Any]


@dataclass(frozen=True)
class Storage:
    """A flat run of numbers, of which tensors are views."""

    data: memoryview
    dtype: np.dtype


def check_key(key: Any) -> Any:
    """Return a dict's key; an `Opaque` for all but strings, small numbers and None: others may not hash safely."""
    if key is None or type(key) in (str, float, bool):
        return key
    if type(key) is int and -LARGEST_KEY < key < LARGEST_KEY:
        return key
    return Opaque(type(key).__name__)


def build_dict(pairs: Any = ()) -> dict[Any, Any]:
    """Return an OrderedDict as a dict."""
    if type(pairs) not in (list, tuple):
        raise ValueError("an OrderedDict of no list")
    return {check_key(key): value for key, value in pairs}


def build_size(numbers: Any = ()) -> tuple[Any, ...]:
    """Return a torch.Size as a tuple."""
    if type(numbers) not in (list, tuple):
        raise ValueError("a torch.Size of no tuple")
    return tuple(numbers)


def build_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, hooks: Any = (), metadata: Any = None
) -> np.ndarray | Opaque:
    """Return the array for a tensor: a read-only view of its storage; offset and strides count elements.

    A tensor whose storage is of an unknown type is opaque itself.

    Raises:
      InputError: a view beyond its storage; metadata, which says that values are to be conjugated or negated.
    """
    if type(storage) is Opaque:
        return storage
    if type(storage) is not Storage or type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride):
        raise ValueError("a tensor without storage, size or strides")
    if not all(type(number) is int and 0 <= number < LONGEST for number in (offset, *size, *stride)):
        raise ValueError("a tensor whose offset, size or strides are no whole numbers")
    if metadata:
        raise InputError("one of its tensors is a conjugated or negated view: resolve it in torch and save it again.")
    item = storage.dtype.itemsize
    if 0 in size:
        return np.ndarray(size, storage.dtype, b"")
    available = len(storage.data) // item
    needed = 1 + offset + sum((side - 1) * step for side, step in zip(size, stride))
    if needed > available:
        raise InputError(
            f"one of its tensors, of {len(size)} dimensions, needs {needed} numbers of a storage of {available}: the "
            f"file is damaged or forged. {DOWNLOAD_AGAIN}"
        )
    return np.ndarray(size, storage.dtype, storage.data, offset * item, tuple(step * item for step in stride))


def build_tensor_of_dtype(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any, metadata: Any = None
) -> np.ndarray | Opaque:
    """Return the array for a tensor whose dtype has no storage class: its storage is of bytes."""
    if type(dtype) is Opaque:
        return dtype
    if type(storage) is not Storage or type(dtype) is not ScalarType:
        raise ValueError("a tensor without storage or dtype")
    return build_tensor(Storage(storage.data, dtype.dtype), offset, size, stride, requires_grad, hooks, metadata)


def build_parameter(tensor: Any, requires_grad: Any, hooks: Any, state: Any = None) -> np.ndarray | Opaque:
    """Return the array of a parameter; attributes that somebody set on it are dropped."""
    if not isinstance(tensor, np.ndarray) and type(tensor) is not Opaque:
        raise ValueError("a parameter without tensor")
    return tensor


STORAGES = {
    "BoolStorage": "bool",
    "ByteStorage": "<u1",
    "CharStorage": "<i1",
    "ShortStorage": "<i2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "HalfStorage": "<f2",
    "BFloat16Storage": ml_dtypes.bfloat16,
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
}
CONSTRUCTORS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): build_dict,
    ("torch", "Size"): build_size,
    ("torch._utils", "_rebuild_tensor"): build_tensor,  # before 0.4
    ("torch._utils", "_rebuild_tensor_v2"): build_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): build_tensor_of_dtype,
    ("torch._utils", "_rebuild_parameter"): build_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): build_parameter,
}
ALLOWED: dict[tuple[str, str], Opaque] = {
    **{(module, name): Constructor(f"{module}.{name}", build) for (module, name), build in CONSTRUCTORS.items()},
    ("torch.storage", "UntypedStorage"): StorageType("torch.storage.UntypedStorage", np.dtype("<u1")),
    **{("torch", name): StorageType(f"torch.{name}", np.dtype(dtype)) for name, dtype in STORAGES.items()},
    **{
        ("torch", name): ScalarType(f"torch.{name}", np.dtype(name).newbyteorder("<"))
        for name in ("uint16", "uint32", "uint64")
    },
}
"""What a pickle may name and have read, by module and name."""


def find_label(module: str, name: str) -> Opaque:
    """Return the label of a class or function: its own where a file of tensors needs it."""
    return ALLOWED.get((module, name)) or Opaque(f"{module[:80]}.{name[:80]}")
