"""Reads the pickle of a `.pth` file as data: a stack machine for the operations that torch writes, and no others.

It stands in for Python's unpickler, which imports and calls what a pickle names. Here names are looked up in a table
of labels, values are plain containers, scalars and read-only arrays, and nothing is imported or called but the
constructors in that table. Whatever else a pickle names or makes is an `Opaque`: its arguments and state are dropped.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from castream_jax.errors import InputError
from castream_jax.weights.labels import (
    DOWNLOAD_AGAIN,
    LONGEST,
    Constructor,
    Opaque,
    Storage,
    StorageType,
    check_key,
    find_label,
)

SAVE_AGAIN = (
    "Save it again with torch, torch.save(torch.load(path, map_location='cpu', weights_only=True), path), or convert "
    "it to .safetensors."
)
MOST_OPERATIONS = 2**22
"""A checkpoint of ResNet-152 with its optimizer has about a hundred thousand."""


class Unpickler:
    """The stack machine.

    Args:
      read_storage: returns the bytes of the storage with that key, at least so many numbers of that dtype.
    """

    def __init__(self, read_storage: Callable[[str, int, np.dtype], bytes | memoryview]):
        self._read_storage = read_storage
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._copied = 0

    def load(self, pickled: bytes | io.BufferedReader) -> Any:
        """Return the value that a pickle describes, and leave an open file behind the pickle's end.

        Raises:
          InputError: it has operations that torch does not write, too many, or copies over and over; it is damaged.
        """
        try:
            for count, (operation, argument, position) in enumerate(pickletools.genops(pickled)):
                if operation.name == "STOP":
                    return self._stack.pop()
                if count > MOST_OPERATIONS:
                    raise InputError(
                        f"its pickle has more than {MOST_OPERATIONS} operations. Save the state dict alone."
                    )
                self._run(operation.name, argument)
                if self._copied > (position or 0):
                    raise InputError(f"its pickle copies the same lists over and over: it is forged. {DOWNLOAD_AGAIN}")
        except InputError:
            raise
        except (ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
            cause = f"{type(error).__name__}: {str(error)[:200]}"
            raise InputError(f"its pickle is damaged ({cause}). {DOWNLOAD_AGAIN}") from error
        raise InputError(f"its pickle has no end. {DOWNLOAD_AGAIN}")

    def persistent_load(self, identity: Any) -> Any:
        """Return the storage that ("storage", type, key, device, length[, view]) stands for.

        A storage of an unknown type is opaque. Before 1.6, ("module", class, file, source) stood for a class.
        """
        kind, *rest = identity if type(identity) is tuple and identity else (None,)
        if kind == "module" and rest and isinstance(rest[0], Opaque):
            return rest[0]
        if kind != "storage" or len(rest) not in (4, 5):
            raise ValueError("a persistent id of another form")
        storage_type, key, _, length, view = (*rest, None)[:5]
        if type(storage_type) is Opaque:
            return storage_type
        if type(storage_type) is not StorageType or type(key) is not str:
            raise ValueError("a persistent id that is no storage's")
        item = storage_type.dtype.itemsize
        data = memoryview(self._read_storage(key, _check_length(length), storage_type.dtype))[: length * item]
        if view is not None:  # of a part of it, before 0.4
            _, start, count = view
            if _check_length(start) + _check_length(count) > length:
                raise ValueError("a view beyond its storage")
            data = data[start * item : (start + count) * item]
        return Storage(data, storage_type.dtype)

    def _run(self, operation: str, argument: Any) -> None:
        """Run an operation on scalars, containers or the memo."""
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
            case "BINSTRING" | "SHORT_BINSTRING":  # Python 2's strings, which pickletools reads as latin-1
                stack.append(argument.encode("latin-1").decode())
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
                if (top := self._top(list)) is not None:
                    top.extend(values)
            case "SETITEM" | "SETITEMS":
                self._gather(len(stack) - 2 if operation == "SETITEM" else self._marks.pop())
                values = stack.pop()
                if (top := self._top(dict)) is not None:
                    top.update(zip(map(check_key, values[::2]), values[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case _:
                self._run_on_labels(operation, argument)

    def _run_on_labels(self, operation: str, argument: Any) -> None:
        """Run an operation that names something, makes something of a name, or makes what is not read."""
        stack = self._stack
        match operation:
            case "GLOBAL":
                stack.append(find_label(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if type(module) is not str or type(name) is not str:
                    raise ValueError("a name that is no string")
                stack.append(find_label(module, name))
            case "BINPERSID":
                stack.append(self.persistent_load(stack.pop()))
            case "REDUCE":
                arguments, called = stack.pop(), stack.pop()
                stack.append(self._call(called, arguments))
            case "NEWOBJ" | "NEWOBJ_EX":
                del stack[-1 if operation == "NEWOBJ" else -2 :]
                stack.append(_make_opaque(stack.pop()))
            case "OBJ":
                self._gather(self._marks.pop())
                stack.append(_make_opaque(stack.pop()[0]))
            case "INST":
                self._gather(self._marks.pop())
                stack[-1] = Opaque(find_label(*argument.split(" ", 1)).name)
            case "BUILD":  # a state dict's `_metadata`, the versions of its modules: not needed
                stack.pop()
                self._top(dict)
            case "EMPTY_SET":
                stack.append(Opaque("set"))
            case "ADDITEMS":
                self._gather(self._marks.pop())
                stack.pop()
                self._top(Opaque)
            case "FROZENSET":
                self._gather(self._marks.pop())
                stack[-1] = Opaque("frozenset")
            case "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8":
                stack.append(Opaque("bytes"))
            case _:
                raise InputError(
                    f"its pickle has the operation {operation}, which torch.save does not write. Nothing of it was "
                    f"run. {SAVE_AGAIN}"
                )

    def _call(self, called: Any, arguments: Any) -> Any:
        """Return what a known constructor makes of its arguments; of an unknown one, an opaque value."""
        if type(called) is Opaque:
            return Opaque(called.name)
        if type(called) is not Constructor or type(arguments) is not tuple:
            raise ValueError(f"a call of a {type(called).__name__}")
        # A list that is memoised can be given again for a few bytes: all that is copied must have been in the file.
        self._copied += sum(len(given) for given in arguments if type(given) in (list, tuple))
        return called.construct(*arguments)

    def _gather(self, start: int) -> None:
        """Replace the stack's values from `start` on by one tuple of them."""
        if not 0 <= start <= len(self._stack):
            raise IndexError("the stack is too short")
        self._stack[start:] = [tuple(self._stack[start:])]

    def _top(self, kind: type) -> Any:
        """Return the container on top of the stack; None for one that is opaque, whose content is dropped."""
        top = self._stack[-1]
        if type(top) is Opaque:
            return None
        if type(top) is not kind:
            raise ValueError(f"a {type(top).__name__} in place of a {kind.__name__}")
        return top


def _check_length(length: Any) -> int:
    """Return a number of elements; `ValueError` if it can be none."""
    if type(length) is not int or not 0 <= length < LONGEST:
        raise ValueError("a storage without length")
    return length


def _make_opaque(label: Any) -> Opaque:
    """Return an opaque value of a class."""
    if not isinstance(label, Opaque):
        raise ValueError(f"an instance of a {type(label).__name__}")
    return Opaque(label.name)
