"""Makes the `.pth` files beside it, which `test_pickled.py` reads: `python tests/weights/data/make.py`, with torch."""

from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent
DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)


def dtypes() -> dict[str, torch.Tensor]:
    """Return, for each dtype, thirds from 0 to 39 of shape [4 10] (whole numbers where it holds no others)."""
    thirds = torch.arange(40, dtype=torch.float64).reshape(4, 10) / 3
    return {name: thirds.to(getattr(torch, name)) for name in DTYPES}


def views() -> dict[str, torch.Tensor]:
    """Return views of one storage with the numbers 0 to 59, and tensors without numbers or dimensions."""
    whole = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    return {
        "whole": whole,
        "transposed": whole.permute(2, 0, 1),
        "offset": whole[1:, 2:, 3:],
        "steps": whole[::2, ::3, ::4],
        "one": whole[2, 3, 4],
        "expanded": whole[0, 0, :, None].expand(5, 7),
        "tied": whole.view(60),
        "empty": torch.empty(0, 3),
        "no_dimensions": torch.tensor(7),
        "channels_last": (torch.arange(48.0).reshape(2, 3, 2, 4)).to(memory_format=torch.channels_last),
    }


def checkpoint() -> dict[str, object]:
    """Return what training scripts save: weights with their metadata, an optimizer's state, scalars, settings."""
    network = torch.nn.Sequential(OrderedDict(fc=torch.nn.Linear(3, 2), norm=torch.nn.BatchNorm1d(2)))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        for i, tensor in enumerate(network.state_dict().values()):
            tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape) + 10 * i)
    tagged = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    tagged.tag = "dropped"
    return {
        "model_sdict": network.state_dict(),
        "parameters": dict(network.named_parameters()),
        "tagged": tagged,
        "epoch": 3,
        "optimizer": optimizer.state_dict(),
        "settings": {"lr": 0.1, "betas": (0.9, 0.999), "nesterov": False, "name": "Été", "none": None, "empty": ()},
        "numbers": [0, 255, 65536, -1, 2**80, (1, 2, 3, 4), [], {}],
        "size": torch.Size([2, 3]),
    }


def main() -> None:
    """Write every file."""
    torch.manual_seed(0)
    torch.save(dtypes(), HERE / "dtypes.pth")
    torch.save(views(), HERE / "views.pth")
    torch.save(checkpoint(), HERE / "checkpoint.pth")
    torch.save(checkpoint(), HERE / "protocol4.pth", pickle_protocol=4)
    torch.save({"weight": torch.ones(2)}, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    for make in (views, dtypes, checkpoint):
        torch.save(make(), HERE / f"legacy_{make.__name__}.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(1, 1), HERE / "module.pth")
    torch.save({"conjugated": torch.ones(2, dtype=torch.complex64).conj()}, HERE / "conjugated.pth")
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), HERE / "torchscript.pth")


if __name__ == "__main__":
    main()
