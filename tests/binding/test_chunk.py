"""The chunk that is chosen: it follows from the size of the feature maps and the device's memory."""

import jax
import pytest

import castream_jax as ca
from castream_jax.binding.chunk import choose_chunk


class Device:
    """A device with some memory."""

    def __init__(self, gigabytes: float | None):
        self.gigabytes = gigabytes

    def memory_stats(self) -> dict[str, int] | None:
        return None if self.gigabytes is None else {"bytes_limit": int(self.gigabytes * 2**30)}


@pytest.fixture(scope="module")
def model() -> ca.Classifier:
    return ca.create_model("resnet18", "gap")


# ResNet-18's largest feature map at 224 pixels is 56x56x64: 0.77 MiB an image in float32.
@pytest.mark.parametrize(("gigabytes", "expected"), [(None, 64), (1, 16), (8, 128), (80, 256), (0.001, 1)])
def test_the_chunk_follows_from_the_memory(monkeypatch, model, gigabytes, expected):
    monkeypatch.setattr(jax, "local_devices", lambda: [Device(gigabytes)])
    assert choose_chunk(model, (224, 224)) == expected


def test_twice_the_side_is_a_quarter_of_the_chunk(model):
    assert choose_chunk(model, (448, 448)) * 4 == choose_chunk(model, (224, 224))


def test_the_network_is_traced_once_for_each_size(monkeypatch):
    model, sizes = ca.create_model("resnet18_small", "gap"), []
    features = type(model.backbone).features
    monkeypatch.setattr(
        type(model.backbone),
        "features",
        lambda self, images, train: sizes.append(images.shape[1:3]) or features(self, images, train),
    )
    for size in ((48, 64), (48, 64), (32, 64), (48, 64)):
        choose_chunk(model, size)
    assert sizes == [(48, 64), (32, 64)]
