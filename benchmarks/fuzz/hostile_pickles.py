"""Pickles and archives of torch's that were made to do harm, or that nothing should take."""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.weight_files import (
    describe,
    legacy_head,
    write_legacy,
    write_zip,
)
from tests.weights.archives import REBUILD, Built, Call, Name, encode, pickled, storage, tensor, write

Writer = Callable[[Path], Path | str]
"""Writes files into a folder and returns what to read."""
MARK = "was-run"
"""A file in the current folder that a pickle would make."""
SMALL = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}

CALLS = {
    "os.system": Call(Name("os", "system"), (f"touch {MARK}",)),
    "posix.system": Call(Name("posix", "system"), (f"touch {MARK}",)),
    "subprocess": Call(Name("subprocess", "Popen"), (["touch", MARK],)),
    "exec": Call(Name("builtins", "exec"), (f"open({MARK!r}, 'w')",)),
    "eval": Call(Name("__builtin__", "eval"), (f"open({MARK!r}, 'w')",)),
    "open": Call(Name("io", "open"), (MARK, "w")),
    "getattr": Call(Call(Name("builtins", "getattr"), (Name("os", "system"), "__call__")), (f"touch {MARK}",)),
    "an import": Call(Name("importlib", "import_module"), ("antigravity",)),
    "a dotted name": Call(Name("torch._utils", "_rebuild_tensor_v2.__globals__"), ()),
    "a class": Call(Name("torch.nn.modules.linear", "Linear"), (2, 3)),
    "numpy's objects": Call(Name("numpy.core.multiarray", "_reconstruct"), (Name("numpy", "ndarray"), (0,), b"Cb.")),
    "a state": Built(Call(Name("argparse", "Namespace"), ()), {"__class__": Name("os", "system")}),
    "a defaultdict": Call(Name("collections", "defaultdict"), (Name("os", "getcwd"),)),
    "torch.load": Call(Name("torch.serialization", "load"), (MARK,)),
    "a long name": Name("torch", "x" * 100_000),
    "an escape": Name("torch", "x\x1b[31mred"),
}
"""What a pickle may say beside tensors: each must be refused, or passed over and never run."""

PICKLES = {
    "lists that double": b"\x80\x02]q\x00K\x01a" + b"](h\x00h\x00eq\x00" * 60 + b".",
    "one list in itself": b"\x80\x02](" + b"K\x00" * 100_000 + b"eq\x00" + b"(h\x00t" * 100_000 + b".",
    "tuples that double": b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 100 + b".",
    "a key that doubles": b"\x80\x02}" + encode("a") + b"q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"K\x01s.",
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "a dict in itself": b"\x80\x02}q\x00" + encode("state_dict") + b"h\x00s.",
    "deep": b"\x80\x02" + b"](" * 200_000 + b"e" * 200_000 + b".",
    "deep tuples": b"\x80\x02" + b")" + b"\x85" * 500_000 + b".",
    "deep wrappers": b"\x80\x02" + b"}" + (encode("model") + b"}") * 50_000 + b"s" * 50_000 + b".",
    "a huge number": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01.",
    "a huge text": b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"a.",
    "a huge frame": b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"}.",
    "a huge memo": b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b".",
    "a number of 4 MB": b"\x80\x02}" + encode("a") + b"\x8b" + struct.pack("<i", 1 << 22) + b"\x7f" * (1 << 22) + b"s.",
    "a text of 4 MB as number": b"\x80\x02L" + b"9" * (1 << 22) + b"L\n.",
    "marks alone": b"\x80\x02" + b"(" * 1_000_000 + b".",
    "nothing": b"",
    "a stop": b".",
    "no stop": b"\x80\x02}",
    "another object after it": pickled(describe(SMALL, False))[:-1] + b"0}.",
    "protocol 255": b"\x80\xff}.",
    "a persistent text": b"\x80\x02Pos.system\n.",
    "an instance": b"\x80\x02(S'touch was-run'\nios\nsystem\n.",
    "an object": b"\x80\x02cos\nsystem\n(S'touch was-run'\no.",
    "an extension": b"\x80\x02\x82\x01.",
    "keys that are tuples": pickled({"a": 1})[:-1] + encode((1, 2)) + b"K\x01s.",
}
COPY = {
    "torch.Size": b"ctorch\nSize\nq\x01",
    "OrderedDict": b"ccollections\nOrderedDict\nq\x01",
}
"""What a pickle may call that copies a list."""


def copies(function: bytes, is_dict: bool) -> bytes:
    """Return a pickle of 600 kB that copies one long list over and over."""
    entries = b"".join(b"K\x00" if not is_dict else b"J%bK\x00\x86" % struct.pack("<i", i) for i in range(40_000))
    return b"\x80\x02](](" + entries + b"eq\x00" + function + b"h\x01h\x00\x85R" * 40_000 + b"e."


TENSORS: dict[str, Any] = {
    "beyond its storage": tensor((25,), (1,)),
    "a huge offset": tensor((1,), (1,), offset=2**62),
    "a negative offset": tensor((1,), (1,), offset=-1),
    "a negative size": tensor((-1,), (1,)),
    "a negative stride": tensor((24,), (-1,), offset=23),
    "a huge view of one number": tensor((2**40, 2**20), (0, 0)),
    "sizes that overflow": tensor((2**33, 2**33), (0, 0)),
    "a size that overflows, and none": tensor((2**62, 2**62, 0), (1, 1, 1)),
    "a hundred dimensions": tensor((1,) * 100, (1,) * 100),
    "a storage larger than its bytes": tensor((2,), (1,), of=storage(2**40)),
    "a storage of another file": tensor((2,), (1,), of=storage(24, key="../../../etc/passwd")),
    "no such storage": tensor((2,), (1,), of=storage(24, "Float128Storage")),
    "sizes that are floats": tensor((2.0, 3.0), (3, 1)),
    "sizes that are truth values": tensor((True, True), (1, 1)),
    "a storage that is a number": Call(REBUILD, (7, 0, (1,), (1,), False, {})),
}


def in_zip(name: str, pickle: bytes) -> Writer:
    """Return the writer of an archive with a pickle."""
    return lambda folder: write(folder / f"{len(name)}.pth", pickle)


def in_legacy(pickle: bytes) -> Writer:
    """Return the writer of a file in torch's former format with a pickle."""
    return lambda folder: write_legacy(folder / "legacy.pth", SMALL, pickle)


def pad_entries(folder: Path) -> Path:
    """Write an archive of very many entries."""
    entries = {f"data/{number}": b"" for number in range(20_000)}
    return write(folder / "many.pth", pickled({}), entries)


def bomb(folder: Path) -> Path:
    """Write an archive that is compressed, of zeros."""
    return write(folder / "bomb.pth", pickled({}), {"data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)


def lie_about_size(folder: Path) -> Path:
    """Write an archive whose directory claims that an entry has four gigabytes."""
    path = write_zip(folder / "lie.pth", SMALL)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02")
    content[place + 20 : place + 28] = b"\xfe\xff\xff\xff" * 2
    path.write_bytes(content)
    return path


ARCHIVES: dict[str, Writer] = {
    "entries without end": pad_entries,
    "compressed": bomb,
    "a size that lies": lie_about_size,
    "entries outside": lambda folder: write(folder / "x.pth", pickled({}), {"../../../tmp/x": b"1"}),
    "legacy of another version": lambda folder: write_legacy(folder / "x.pth", SMALL, head=legacy_head(1000)),
    "legacy, big-endian": lambda folder: write_legacy(folder / "x.pth", SMALL, head=legacy_head(little_endian=False)),
    "legacy without storages": lambda folder: write_legacy(folder / "x.pth", {}, pickled(describe(SMALL, True))),
    "legacy magic alone": lambda folder: write_legacy(folder / "x.pth", {}, b"", head=legacy_head()[:15]),
}
