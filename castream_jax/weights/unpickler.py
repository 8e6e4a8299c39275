"""Reads the pickle of a `.pth` file as data: a stack machine for the operations that torch writes, and no others.

It stands in for Python's unpickler, which imports and calls what a pickle names. Here names are looked up in a table
of labels (`ALLOWED`), values are plain containers, scalars and read-only arrays, and nothing is imported or called
but the constructors in that table.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from castream_jax.errors import InputError

SAVE_AGAIN = (
    "Save it again with torch, torch.save(torch.load(path, weights_only=True), path), or convert it to .safetensors."
)
DOWNLOAD_AGAIN = "Download or copy it again."
LONGEST = 2**63
"""Sizes, strides and offsets are below this."""


@dataclass(frozen=True)
class StorageType:
    """The label of a storage class."""

    dtype: np.dtype


@dataclass(frozen=True)
class Storage:
    """A flat run of numbers, of which tensors are views."""

    data: memoryview
    dtype: np.dtype


@dataclass(frozen=True)
class Constructor:
    """The label of a class or function that a pickle may call, and what is called in its place."""

    construct: Callable[..., Any]


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
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Any = None
) -> np.ndarray:
    """Return the array for a tensor: a read-only view of its storage; offset and strides count elements.

    Raises:
      InputError: a view beyond its storage; metadata, which says that values are to be conjugated or negated.
    """
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
) -> np.ndarray:
    """Return the array for a tensor whose dtype has no storage class: its storage is of bytes."""
    if type(storage) is not Storage or not isinstance(dtype, np.dtype):
        raise ValueError("a tensor without storage or dtype")
    return build_tensor(Storage(storage.data, dtype), offset, size, stride, requires_grad, hooks, metadata)


def build_parameter(tensor: Any, requires_grad: Any, hooks: Any, state: Any = None) -> np.ndarray:
    """Return the array of a parameter; attributes that somebody set on it are dropped."""
    if not isinstance(tensor, np.ndarray):
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
ALLOWED: dict[tuple[str, str], Constructor | StorageType | np.dtype] = {
    ("collections", "OrderedDict"): Constructor(build_dict),
    ("torch", "Size"): Constructor(build_size),
    ("torch._utils", "_rebuild_tensor_v2"): Constructor(build_tensor),
    ("torch._utils", "_rebuild_tensor_v3"): Constructor(build_tensor_of_dtype),
    ("torch._utils", "_rebuild_parameter"): Constructor(build_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Constructor(build_parameter),
    ("torch.storage", "UntypedStorage"): StorageType(np.dtype("<u1")),
    **{("torch", name): StorageType(np.dtype(dtype)) for name, dtype in STORAGES.items()},
    **{("torch", name): np.dtype(name).newbyteorder("<") for name in ("uint16", "uint32", "uint64")},
}
"""What a pickle may name, by module and name; the last three have no storage class."""


def check_key(key: Any) -> Any:
    """Return a dict's key; `ValueError` if it is no string, number or None (others may not even hash safely)."""
    if key is not None and type(key) not in (str, int, float, bool):
        raise ValueError(f"a key of type {type(key).__name__}")
    return key


class Unpickler:
    """The stack machine.

    Args:
      read_storage: returns at least so many bytes of the storage with that key.
    """

    def __init__(self, read_storage: Callable[[str, int], bytes]):
        self._read_storage = read_storage
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def load(self, pickled: bytes) -> Any:
        """Return the value that a pickle describes.

        Raises:
          InputError: it names what `ALLOWED` does not, has operations that torch does not write, or is damaged.
        """
        try:
            for operation, argument, _ in pickletools.genops(pickled):
                if operation.name == "STOP":
                    return self._stack.pop()
                self._run(operation.name, argument)
        except InputError:
            raise
        except (ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
            raise InputError(f"its pickle is damaged ({type(error).__name__}: {error}). {DOWNLOAD_AGAIN}") from error
        raise InputError(f"its pickle has no end. {DOWNLOAD_AGAIN}")

    def find_class(self, module: str, name: str) -> Constructor | StorageType | np.dtype:
        """Return the label of a class or function; `InputError` if a file of tensors has no use for it."""
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise InputError(
                f"it refers to {module[:80]}.{name[:80]}: expected tensors, numbers, strings, lists and "
                "dicts alone. Nothing of it was run. If you trust where it is from, open it with torch and save the "
                "state dict alone: torch.save(state_dict, new_path)."
            ) from None

    def persistent_load(self, identity: Any) -> Storage:
        """Return the storage that ("storage", type, key, device, length) stands for."""
        if type(identity) is not tuple or len(identity) != 5:
            raise ValueError("a persistent id of another form")
        kind, storage_type, key, _, length = identity
        if kind != "storage" or type(storage_type) is not StorageType or type(key) is not str:
            raise ValueError("a persistent id that is no storage's")
        if type(length) is not int or not 0 <= length < LONGEST:
            raise ValueError("a storage without length")
        size = length * storage_type.dtype.itemsize
        return Storage(memoryview(self._read_storage(key, size) if size else b"")[:size], storage_type.dtype)

    def _run(self, operation: str, argument: Any) -> None:
        stack = self._stack
        match operation:
            case "PROTO" | "FRAME":
                pass
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[operation])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "BINFLOAT":
                stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8":
                stack.append(argument)
            case "EMPTY_TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                self._gather(len(stack) - (0 if operation == "EMPTY_TUPLE" else int(operation[-1])))
            case "MARK":
                self._marks.append(len(stack))
            case "TUPLE":
                self._gather(self._marks.pop())
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "APPEND" | "APPENDS":
                self._gather(len(stack) - 1 if operation == "APPEND" else self._marks.pop())
                values = stack.pop()
                self._top(list).extend(values)
            case "SETITEM" | "SETITEMS":
                self._gather(len(stack) - 2 if operation == "SETITEM" else self._marks.pop())
                values = stack.pop()
                self._top(dict).update(zip(map(check_key, values[::2]), values[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "GLOBAL":
                stack.append(self.find_class(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if type(module) is not str or type(name) is not str:
                    raise ValueError("a name that is no string")
                stack.append(self.find_class(module, name))
            case "BINPERSID":
                stack.append(self.persistent_load(stack.pop()))
            case "REDUCE":
                arguments, called = stack.pop(), stack.pop()
                if type(called) is not Constructor or type(arguments) is not tuple:
                    raise ValueError(f"a call of a {type(called).__name__}")
                stack.append(called.construct(*arguments))
            case "BUILD":  # a state dict's `_metadata`, the versions of its modules: not needed
                stack.pop()
                self._top(dict)
            case _:
                self._refuse(operation, argument)

    def _gather(self, start: int) -> None:
        """Replace the stack's values from `start` on by one tuple of them."""
        if not 0 <= start <= len(self._stack):
            raise IndexError("the stack is too short")
        self._stack[start:] = [tuple(self._stack[start:])]

    def _top(self, kind: type) -> Any:
        """Return the list or dict on top of the stack."""
        if type(self._stack[-1]) is not kind:
            raise ValueError(f"a {type(self._stack[-1]).__name__} in place of a {kind.__name__}")
        return self._stack[-1]

    def _refuse(self, operation: str, argument: Any) -> None:
        if operation == "INST":
            self.find_class(*argument.split(" ", 1))
        raise InputError(
            f"its pickle has the operation {operation}, which torch.save does not write for tensors, numbers, strings, "
            f"lists and dicts. Nothing of it was run. {SAVE_AGAIN}"
        )
