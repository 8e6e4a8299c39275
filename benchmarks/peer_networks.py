"""Networks of torchvision and timm with seeded random weights, their formats in torch, the stream on top (METHOD 1)."""

import copy
import math
from collections.abc import Callable

import numpy as np
import torch

import castream_jax as ca
from tests.torch_models import import_timm, import_torchvision

Pool = Callable[[list[torch.Tensor]], torch.Tensor]
EAGER = ("eager NCHW", "eager channels_last")
COMPILED = "torch.compile, channels_last"
LOGITS_STD = 3.0
"""Of an image's logits over the classes: probabilities then differ as a trained network's do."""

torchvision = import_torchvision()


def to_torch(images: np.ndarray) -> torch.Tensor:
    """Return [B H W 3] images as torch wants them, [B 3 H W]."""
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def create(name: str) -> torch.nn.Module:
    """Return a fresh network: torchvision's, or timm's where torchvision has none."""
    if hasattr(torchvision.models, name):
        return getattr(torchvision.models, name)()
    return import_timm().create_model(f"tf_{name}")


@torch.no_grad()
def build(name: str, images: np.ndarray) -> torch.nn.Module:
    """Return a network in which every weight matters.

    Batch normalisation has the statistics of the images, layer scale is not nearly 0, and the logits are spread.
    """
    torch.manual_seed(0)
    model, pixels = create(name), to_torch(images)
    for key, parameter in model.named_parameters():
        if key.endswith("layer_scale"):
            parameter.uniform_(0.1, 0.5)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the plain mean over batches, of which there is one
    model.train()(pixels)
    model.eval()
    last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    gain = LOGITS_STD / model(pixels).std(dim=1).mean()
    last.weight.mul_(gain)
    last.bias.mul_(gain)
    return model.requires_grad_(True)


def convert(name: str, model: torch.nn.Module, pooling: str, dtype: str = "float32") -> ca.Classifier:
    """Return our network with the same weights; a stream has fresh ones."""
    weights = {key: tensor.detach().numpy() for key, tensor in model.state_dict().items()}
    return ca.load_torch_weights(ca.create_model(name, pooling, dtype=dtype), weights)


def spread_stream(ours: ca.Classifier, images: np.ndarray) -> dict[str, np.ndarray]:
    """Spread CA's logits as GAP's are, and return both for the images.

    A fresh stream's logits are several times as large, and its probabilities of most classes next to 0.
    """
    assert ours.stream is not None
    logits = {name: np.asarray(model(images)) for name, model in ours.poolings().items()}
    last = ours.stream.projections[-1]
    gain = logits["gap"].std() / logits["ca"].std()
    last.kernel[...], last.bias[...] = last.kernel[...] * gain, last.bias[...] * gain
    return logits


def in_format(model: torch.nn.Module, name: str) -> torch.nn.Module:
    """Return a copy of a network in one of the `EAGER` formats: its activations take the format of its weights."""
    channels_last = name == "eager channels_last"
    return copy.deepcopy(model).to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def forwards(
    model: torch.nn.Module, images: np.ndarray, dtype: str, compiled: bool
) -> dict[str, Callable[[], np.ndarray]]:
    """Return the forward pass in each format, which returns float32 logits.

    A compiled network compiles in its first call.
    """
    pixels, torch_dtype = to_torch(images), getattr(torch, dtype)
    networks = {name: in_format(model, name).to(torch_dtype) for name in EAGER}
    if compiled:
        networks[COMPILED] = torch.compile(networks["eager channels_last"])

    def forward(name: str) -> Callable[[], np.ndarray]:
        layout = torch.contiguous_format if name == "eager NCHW" else torch.channels_last
        x = pixels.to(torch_dtype).contiguous(memory_format=layout)

        @torch.no_grad()
        def run() -> np.ndarray:
            return networks[name](x).float().numpy()

        return run

    return {name: forward(name) for name in networks}


class GapNetwork(torch.nn.Module):
    """A network of timm's as it is, which pools by the mean."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def taps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the last feature map [B C h w]."""
        return [self.network.forward_features(images)]

    def poolings(self) -> tuple[Pool, ...]:
        """Return the functions from feature maps to logits."""
        return (lambda taps: self.network.forward_head(taps[-1]),)


class StreamResNet(torch.nn.Module):
    """A torchvision ResNet pooled by CA-Stream with one head, with the weights of ours (METHOD 1)."""

    def __init__(self, network: torch.nn.Module, ours: ca.Classifier):
        super().__init__()
        assert ours.stream is not None
        self.network = network
        self.query = torch.nn.Parameter(torch.tensor(np.asarray(ours.stream.query[...])))
        self.projections = torch.nn.ModuleList()
        for projection in ours.stream.projections:
            kernel, bias = (torch.tensor(np.asarray(values[...])) for values in (projection.kernel, projection.bias))
            linear = torch.nn.Linear(*kernel.shape)
            linear.weight, linear.bias = torch.nn.Parameter(kernel.T.contiguous()), torch.nn.Parameter(bias)
            self.projections.append(linear)

    def taps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the stream's feature maps, [B C h w] each."""
        network = self.network
        taps = [network.maxpool(network.relu(network.bn1(network.conv1(images))))]
        for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
            taps.append(stage(taps[-1]))
        return taps

    def poolings(self) -> tuple[Pool, ...]:
        """Return the functions from feature maps to logits."""
        return self.gap, self.ca

    def ca(self, taps: list[torch.Tensor]) -> torch.Tensor:
        """Return the logits of CA pooling."""
        query = self.query.expand(len(taps[0]), -1)  # [B C]
        for tap, projection in zip(taps, self.projections, strict=True):
            keys = tap.flatten(2)  # [B C N]
            scores = torch.einsum("bcn,bc->bn", keys, query) / math.sqrt(keys.shape[1])
            query = projection(torch.einsum("bcn,bn->bc", keys, scores.softmax(-1)))
        return self.network.fc(query)

    def gap(self, taps: list[torch.Tensor]) -> torch.Tensor:
        """Return the logits of global average pooling."""
        return self.network.fc(taps[-1].mean((2, 3)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.ca(self.taps(images))
