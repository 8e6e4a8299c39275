"""Input, images a second and core: decode, augment, batch; beside a torch DataLoader of the same Pillow work.

    python -m benchmarks.input_pipeline [--images=512] [--batch=64] [--workers=2] [--rounds=5] [--step=resnet50]

JPEGs of 500x375 pixels, quality 90, made from bundled photographs, in memory: what a disk adds is not measured.
What was read ahead is taken out before the clock starts.
Ours is `training_batches` as training uses it; torch's is the usual Dataset and torchvision transforms. All rows of a
round run one after the other; rates are medians over the rounds. --step names the network whose training step is
timed to say what share of the input rate it uses (none: not timed). Without torch its rows are left out.
"""

import argparse
import collections
import io
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import skimage.data
from absl import flags
from PIL import Image

from benchmarks.train_step import measure
from castream_jax.config import DataConfig
from castream_jax.data.pictures import preprocess
from castream_jax.data.pictures.decoding import decode
from castream_jax.data.pipeline import training_batches
from castream_jax.data.source import Source

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
SIZE = 224
READ_AHEAD = 12
"""Batches that were ready before the clock starts, at most: taken out first."""


def make_jpegs(count: int) -> list[bytes]:
    """Return different crops of photographs, encoded."""
    rng = np.random.default_rng(0)
    photos = [Image.fromarray(getattr(skimage.data, name)()).convert("RGB") for name in PHOTOS]
    encoded = []
    for i in range(count):
        image = preprocess.random_resized_crop(photos[i % len(photos)], 500, 0.5, rng).resize((500, 375))
        buffer = io.BytesIO()
        image.save(buffer, "jpeg", quality=90)
        encoded.append(buffer.getvalue())
    return encoded


def decode_all(jpegs: list[bytes]) -> None:
    """Decode."""
    for jpeg in jpegs:
        decode(jpeg)


def augment_all(jpegs: list[bytes]) -> None:
    """Decode and augment."""
    rng = np.random.default_rng(0)
    for jpeg in jpegs:
        pixels = np.asarray(preprocess.random_resized_crop(decode(jpeg).image, SIZE, 0.08, rng))
        preprocess.jitter_brightness(pixels, 0.4, rng)


def our_batches(jpegs: list[bytes], batch: int, workers: int) -> Iterator[Any]:
    """Yield training batches without end."""
    source = Source("jpegs", "train", [{"image": jpeg, "label": 0} for jpeg in jpegs], ("one",))
    return training_batches(source, DataConfig(image_size=SIZE, workers=workers), batch, seed=0)


def torch_batches(jpegs: list[bytes], batch: int, workers: int) -> Iterator[Any]:
    """Yield the batches of epoch after epoch of a torch DataLoader whose workers stay."""
    import torch

    from tests.torch_models import import_torchvision

    transforms = import_torchvision().transforms
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(brightness=0.4),
            transforms.PILToTensor(),
        ]
    )

    class Jpegs(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(jpegs)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return transform(Image.open(io.BytesIO(jpegs[index])).convert("RGB")), 0

    loader = torch.utils.data.DataLoader(
        Jpegs(), batch, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )
    while True:
        yield from loader


def main(images: int, batch: int, workers: int, rounds: int, step: str) -> None:
    """Print a Markdown table."""
    jpegs = make_jpegs(images)
    cores = os.cpu_count() or 1
    count = images // batch
    rows: dict[str, tuple[Callable[[], object], int, int]] = {
        "decode, one thread": (lambda: decode_all(jpegs), images, 1),
        "decode and augment, one thread": (lambda: augment_all(jpegs), images, 1),
    }
    ahead = {}
    makers = {"ours": our_batches}
    try:
        import torch  # noqa: F401

        makers["torch DataLoader"] = torch_batches
    except ImportError:
        print("torch is not installed: its rows are left out\n")
    for name, make in makers.items():
        for count_workers in (0, workers):
            feed = ahead[f"{name}, {count_workers} workers"] = make(jpegs, batch, count_workers)
            next(feed)  # workers start
            used = cores if count_workers or name == "ours" else 1
            rows[f"{name}, {count_workers} workers"] = (
                lambda feed=feed: collections.deque(itertools.islice(feed, 3 * count), maxlen=0),
                3 * count * batch,
                used,
            )
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(rounds):
        for name, (work, _, _) in rows.items():
            time.sleep(2)  # workers of the other rows fill what they read ahead, and rest
            if name in ahead:
                collections.deque(itertools.islice(ahead[name], READ_AHEAD), maxlen=0)
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    for feed in ahead.values():
        feed.close()
    print(f"{cores} cores, {images} JPEGs of 500x375, batches of {batch}, {rounds} rounds\n")
    print("| work | images/s | spread | images/s and core |\n|---|---:|---:|---:|")
    rates = {}
    for name, (_, done, used) in rows.items():
        each = sorted(done / seconds for seconds in times[name])
        rates[name] = statistics.median(each)
        print(f"| {name} | {rates[name]:.0f} | {each[0]:.0f}-{each[-1]:.0f} | {rates[name] / used:.0f} |")
    if step:
        seconds = statistics.median(pair[0] for pair in measure(step, 8, "float32", 3))
        best = max(rate for name, rate in rates.items() if name.startswith("ours"))
        print(f"\nThe training step of {step} takes {8 / seconds:.1f} images/s here: {8 / seconds / best:.1%} of ours.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--step", default="resnet50")
    options = parser.parse_args()
    flags.FLAGS.mark_as_parsed()  # grain's workers want it
    main(options.images, options.batch, options.workers, options.rounds, options.step)
