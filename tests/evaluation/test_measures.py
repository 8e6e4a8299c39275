"""Measures of maps: golden values, and a plain numpy loop over images and steps."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from flax import nnx

from castream_jax import PROTOCOLS, Normalisation
from castream_jax.evaluation.maps import joint_probabilities
from castream_jax.evaluation.measures import measure_maps
from castream_jax.masking import upsample
from castream_jax.metrics.protocol import Protocol
from tests import goldens
from tests.goldens import assert_close
from tests.networks import MEAN, STD

CASTREAM = PROTOCOLS["castream"]
TOLERANCE = 1e-3

# What is measured of each golden file: pooling, and images of each kind of map. It is a choice, to save time: every
# kind, both poolings, and of ConvNeXt also a map of ties alone (image 1) and a class with other maps (`alt`).
RESNET = {
    "resnet18_stream_cam_metrics": ("ca", {"gradcam": 4, "gradcampp": 2, "scorecam": 2, "synth": 2}),
    "resnet18_gap": ("gap", {"gradcam": 2, "gradcampp": 1, "scorecam": 1}),
}
CONVNEXT = {
    "convnext_tiny_stream_cam_metrics": ("ca", {"gradcam": 2}),
    "convnext_tiny_stream_alt_cam_metrics": ("ca", {"gradcampp": 1}),
    "convnext_tiny_gap": ("gap", {"gradcam": 1}),
}
IMPOSED = {("convnext_tiny_gap", "gradcam")}
"""Maps whose order is the golden `stepmap`: pixels that differ by less than float32 rounding lie at the edges of
steps, and one probability of this very confident network moves by 1.1e-3 with them."""


def golden_map(file: str, kind: str, image: int) -> np.ndarray:
    """Return one map at the images' size."""
    if kind == "synth":
        return (goldens.read("inputs")["synth_rank_u16"][image].astype(np.float32) + 0.5) / 50176
    if (file, kind) in IMPOSED:
        return 1 - goldens.read(file)[f"{kind}_stepmap"][image].astype(np.float32) / 28
    return np.asarray(upsample(jnp.asarray(goldens.read(file)[kind][image][None]), (224, 224))[0])


@functools.cache
def measured(name: str) -> dict[tuple[str, str, int], dict[str, np.ndarray]]:
    """Return every measure of every (file, kind, image) of a network, all computed in one call."""
    files = RESNET if name == "resnet18" else CONVNEXT
    jobs = [(file, kind, i) for file, (_, kinds) in files.items() for kind, n in kinds.items() for i in range(n)]
    maps = jnp.asarray(np.stack([golden_map(*job) for job in jobs]))
    source = jnp.asarray([image for _, _, image in jobs])
    labels = jnp.asarray([goldens.read(f)["label"][i] + 1000 * (files[f][0] == "gap") for f, _, i in jobs], jnp.int32)
    images = goldens.images()[: int(source.max()) + 1]
    graphdef, state = nnx.split(goldens.network(name))

    @jax.jit
    def run(state, images, maps, source, labels):
        network = nnx.merge(graphdef, state)
        score_fn = joint_probabilities([network.poolings()[pooling] for pooling in ("ca", "gap")])
        return measure_maps(score_fn, images, maps, source, labels, CASTREAM, network.normalisation, chunk=32)

    found = jax.tree.map(np.asarray, run(state, images, maps, source, labels))
    return {job: {key: values[j] for key, values in found.items()} for j, job in enumerate(jobs)}


GOLDEN = [(name, file, kind) for name, files in (("resnet18", RESNET), ("convnext_tiny", CONVNEXT)) for file in files
          for kind in files[file][1]]  # fmt: skip


def stacked(name: str, file: str, kind: str, measure: str) -> np.ndarray:
    """Return one measure of one kind of map, for its images."""
    return np.stack([found[measure] for (f, k, _), found in measured(name).items() if (f, k) == (file, kind)])


@pytest.mark.parametrize(("name", "file", "kind"), [case for case in GOLDEN if case[1:] not in IMPOSED])
def test_golden_recognition(name, file, kind):
    golden, find = goldens.read(file), functools.partial(stacked, name, file, kind)
    n = len(find("probability"))
    assert_close(find("probability"), golden[f"{kind}_base_prob"][:n], absolute=TOLERANCE)
    assert_close(find("masked_probability"), golden[f"{kind}_masked_prob"][:n], absolute=TOLERANCE)
    drop, increase, gain = golden[f"{kind}_ad_ai_ag_per_image"][:n].T / 100
    assert_close(find("average_drop"), drop, absolute=TOLERANCE)
    assert_close(find("average_gain"), gain, absolute=TOLERANCE)
    np.testing.assert_array_equal(find("average_increase"), increase)


@pytest.mark.parametrize(("measure", "short"), [("insertion", "ins"), ("deletion", "del")])
@pytest.mark.parametrize(("name", "file", "kind"), GOLDEN)
def test_golden_curves(name, file, kind, measure, short):
    """Maps of 7x7 cells tie along borders and in corners: our rule for ties is the goldens'."""
    golden, find = goldens.read(file), functools.partial(stacked, name, file, kind)
    curves, areas = find(f"{measure}_curve"), find(measure)
    assert_close(curves, golden[f"{kind}_{short}_scores"][: len(curves)], absolute=TOLERANCE)
    assert_close(areas, golden[f"{kind}_{short}_auc"][: len(curves)], absolute=TOLERANCE)
    if len(areas) == len(golden[f"{kind}_{short}_auc"]):
        assert_close(areas.mean(), golden[f"{kind}_{short}_auc_batch"], absolute=TOLERANCE)


RNG = np.random.default_rng(2)
PIXELS = RNG.random((2, 10, 9, 3))
READOUT = RNG.standard_normal((10, 9, 3, 4)) / 6
MAPS = RNG.random((5, 3, 4)).astype(np.float32)
SOURCE, LABELS = [1, 0, 0, 1, 1], [3, 0, 1, 2, 0]


def score_fn(images: jax.Array) -> jax.Array:
    return jax.nn.softmax(jnp.einsum("nhwc,hwck->nk", images, jnp.asarray(READOUT, jnp.float32)))


def plain_measures(protocol: Protocol) -> dict[str, np.ndarray]:
    """Return every measure by METHOD 3, one map and one step at a time, in float64."""

    def probability(image: np.ndarray, label: int) -> float:
        logits = np.einsum("hwc,hwck->k", image, READOUT)
        return np.exp(logits)[label] / np.exp(logits).sum()

    def curve(image: np.ndarray, end: np.ndarray, order: np.ndarray, label: int) -> list[float]:
        points, image = [probability(image, label)], image.copy()
        for start in range(0, 90, protocol.step(9)):
            changed = order[start : start + protocol.step(9)]
            image.reshape(90, 3)[changed] = end.reshape(90, 3)[changed]
            points.append(probability(image, label))
        return points

    rows, places = [], [(np.arange(n) + 0.5) * m / n - 0.5 for n, m in ((10, 3), (9, 4))]
    for saliency, i, label in zip(MAPS, SOURCE, LABELS, strict=True):
        tall = np.stack([np.interp(places[0], range(3), saliency[:, j]) for j in range(4)], axis=1)
        mask = np.stack([np.interp(places[1], range(4), tall[j]) for j in range(10)])
        order = np.flip(np.argsort(mask.reshape(-1), kind="stable"))
        image = (PIXELS[i] - MEAN) / STD
        blurred = scipy.ndimage.convolve(image, protocol.blur_kernel()[:, :, None].astype(float), mode="constant")
        p, o = probability(image, label), probability((PIXELS[i] * mask[..., None] - MEAN) / STD, label)
        insertion, deletion = curve(blurred, image, order, label), curve(image, np.zeros_like(image), order, label)
        rows.append(
            {
                "probability": p,
                "masked_probability": o,
                "average_drop": max(p - o, 0) / p,
                "average_gain": max(o - p, 0) / (1 - p),
                "average_increase": float(o > p),
                "insertion": np.trapezoid(insertion, dx=1 / (len(insertion) - 1)),
                "deletion": np.trapezoid(deletion, dx=1 / (len(deletion) - 1)),
                "insertion_curve": insertion,
                "deletion_curve": deletion,
            }
        )
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def found_measures(protocol: Protocol, chunk: int) -> dict[str, jax.Array]:
    images = jnp.asarray((PIXELS - MEAN) / STD, jnp.float32)
    arguments = (images, jnp.asarray(MAPS), jnp.asarray(SOURCE), jnp.asarray(LABELS))
    return jax.jit(lambda *a: measure_maps(score_fn, *a, protocol, Normalisation(MEAN, STD), chunk))(*arguments)


@pytest.mark.parametrize(
    "protocol",
    [
        CASTREAM,
        PROTOCOLS["rise"],
        dataclasses.replace(CASTREAM, step_rows=4),
        dataclasses.replace(CASTREAM, step_rows=10),
    ],
    ids=["castream", "rise", "short last step", "one step"],
)
def test_measures_are_the_plain_loop(protocol):
    found, expected = found_measures(protocol, chunk=7), plain_measures(protocol)
    assert found.keys() == expected.keys()
    assert 0 < expected["average_increase"].sum() < 5  # both signs of o - p
    for key, values in expected.items():
        assert_close(found[key], values, absolute=1e-5)


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_measures_do_not_depend_on_the_chunk(chunk):
    found, other = found_measures(CASTREAM, chunk), found_measures(CASTREAM, 7)
    for key, values in found.items():
        assert_close(values, other[key], absolute=1e-5)
