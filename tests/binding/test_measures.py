"""Measures of maps: golden values, and a plain numpy loop over images and steps."""

import dataclasses
import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from flax import nnx

from castream_jax import PROTOCOLS, InputError, Normalisation
from castream_jax.binding.shared_trunk import joint_scores
from castream_jax.compute.masking import upsample
from castream_jax.metrics.protocol import Protocol
from tests import goldens
from tests.asking import measure as measure_maps
from tests.goldens import assert_close
from tests.networks import MEAN, STD

pytestmark = pytest.mark.slow

CASTREAM = PROTOCOLS["castream"]
TOLERANCE = 1e-3

# What is measured of each golden file: pooling, and images of each kind of map. It is a choice, to save time: every
# kind, both poolings, and of ConvNeXt also a map of ties alone (image 1) and a class with other maps (`alt`).
RESNET = {
    "resnet18_stream_cam_metrics": ("ca", {"gradcam": (0, 3), "gradcampp": (1,), "scorecam": (1,), "synth": (0, 1)}),
    "resnet18_gap": ("gap", {"gradcam": (0,), "gradcampp": (0,), "scorecam": (0,)}),
}
CONVNEXT = {
    "convnext_tiny_stream_cam_metrics": ("ca", {"gradcam": (0, 1)}),
    "convnext_tiny_stream_alt_cam_metrics": ("ca", {"gradcampp": (0,)}),
    "convnext_tiny_gap": ("gap", {"gradcam": (0,)}),
}
FEWER = 4
"""One step here is this many of the goldens', and a curve has every fourth of their points; `test_batch` has all."""
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
    jobs = [(file, kind, i) for file, (_, kinds) in files.items() for kind, some in kinds.items() for i in some]
    maps = jnp.asarray(np.stack([golden_map(*job) for job in jobs]))
    source = jnp.asarray([image for _, _, image in jobs])
    labels = jnp.asarray([goldens.read(f)["label"][i] + 1000 * (files[f][0] == "gap") for f, _, i in jobs], jnp.int32)
    images = goldens.images()[: int(source.max()) + 1]
    graphdef, state = nnx.split(goldens.network(name))
    protocol = dataclasses.replace(CASTREAM, step_rows=FEWER * CASTREAM.step_rows)

    @jax.jit
    def run(state, images, maps, source, labels):
        network = nnx.merge(graphdef, state)
        score_fn = joint_scores([network.poolings()[pooling] for pooling in ("ca", "gap")])
        return measure_maps(score_fn, images, maps, source, labels, protocol, network.normalisation, chunk=32)

    found = jax.tree.map(np.asarray, run(state, images, maps, source, labels))
    return {job: {key: values[j] for key, values in found.items()} for j, job in enumerate(jobs)}


GOLDEN = [(name, file, kind) for name, files in (("resnet18", RESNET), ("convnext_tiny", CONVNEXT)) for file in files
          for kind in files[file][1]]  # fmt: skip


def stacked(name: str, file: str, kind: str, measure: str) -> np.ndarray:
    """Return one measure of one kind of map, for its images."""
    return np.stack([found[measure] for (f, k, _), found in measured(name).items() if (f, k) == (file, kind)])


def golden_of(name: str, file: str, kind: str, key: str) -> np.ndarray:
    """Return what the reference found for the same images."""
    files = RESNET if name == "resnet18" else CONVNEXT
    return goldens.read(file)[f"{kind}_{key}"][list(files[file][1][kind])]


@pytest.mark.optimised
@pytest.mark.parametrize(("name", "file", "kind"), [case for case in GOLDEN if case[1:] not in IMPOSED])
def test_golden_recognition(name, file, kind):
    find, golden = functools.partial(stacked, name, file, kind), functools.partial(golden_of, name, file, kind)
    assert_close(find("probability"), golden("base_prob"), absolute=TOLERANCE)
    assert_close(find("masked_probability"), golden("masked_prob"), absolute=TOLERANCE)
    drop, increase, gain = golden("ad_ai_ag_per_image").T / 100
    assert_close(find("average_drop"), drop, absolute=TOLERANCE)
    assert_close(find("average_gain"), gain, absolute=TOLERANCE)
    np.testing.assert_array_equal(find("average_increase"), increase)


@pytest.mark.optimised
@pytest.mark.parametrize(("measure", "short"), [("insertion", "ins"), ("deletion", "del")])
@pytest.mark.parametrize(("name", "file", "kind"), GOLDEN)
def test_golden_curves(name, file, kind, measure, short):
    """Maps of 7x7 cells tie along borders and in corners: our rule for ties is the goldens'."""
    curves, areas = (stacked(name, file, kind, column) for column in (f"{measure}_curve", measure))
    golden = golden_of(name, file, kind, f"{short}_scores")[:, ::FEWER]
    assert_close(curves, golden, absolute=TOLERANCE)
    assert_close(areas, np.trapezoid(golden, dx=1 / (golden.shape[1] - 1)), absolute=TOLERANCE)


RNG = np.random.default_rng(2)
PIXELS = RNG.random((2, 10, 9, 3))
READOUT = RNG.standard_normal((10, 9, 3, 4)) / 6
MAPS = RNG.random((5, 3, 4)).astype(np.float32)
SOURCE, LABELS = [1, 0, 0, 1, 1], [3, 0, 1, 2, 0]


def score_fn(images: jax.Array) -> jax.Array:
    return jax.nn.softmax(jnp.einsum("nhwc,hwck->nk", images, jnp.asarray(READOUT, jnp.float32)))


def plain_baseline(protocol: Protocol, image: np.ndarray) -> np.ndarray:
    """Return what masks leave beside black."""
    black = -np.array(MEAN) / STD
    if protocol.mask_baseline == "black":
        return np.zeros(3)
    if protocol.mask_baseline == "mean":
        return -black
    if protocol.mask_baseline == "noise":
        return np.asarray(jax.random.uniform(jax.random.key(0), image.shape)) / STD
    weights = [np.exp(-0.5 * ((np.arange(n)[:, None] - np.arange(n)) / (0.1 * n)) ** 2) for n in image.shape[:2]]
    rows, columns = (one / one.sum(1, keepdims=True) for one in weights)
    return np.einsum("hwc,ah,bw->abc", image, rows, columns) - black


def plain_area(protocol: Protocol, curve: list[float]) -> float:
    """Return numpy's area over points, or over the 90 pixels."""
    if protocol.area_over == "points":
        return np.trapezoid(curve, dx=1 / (len(curve) - 1))
    return np.trapezoid(curve, np.minimum(np.arange(len(curve)) * protocol.step(9), 90) / 90)


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
        if protocol.mask_share:
            kept = order[: round(protocol.mask_share * 90)]
            mask = np.isin(np.arange(90), kept).reshape(10, 9).astype(float)
        masked = (
            (PIXELS[i] * mask[..., None] - MEAN) / STD if protocol.mask_space == "pixels" else image * mask[..., None]
        )
        masked += (1 - mask[..., None]) * plain_baseline(protocol, image)
        erased = np.zeros_like(image) if protocol.deletion_end != "black" else (0 * PIXELS[i] - MEAN) / STD
        blurred = scipy.ndimage.convolve(image, protocol.blur_kernel()[:, :, None].astype(float), mode="constant")
        p, o = probability(image, label), probability(masked, label)
        insertion, deletion = curve(blurred, image, order, label), curve(image, erased, order, label)
        rows.append(
            {
                "probability": p,
                "masked_probability": o,
                "average_drop": max(p - o, 0) / p,
                "average_gain": max(o - p, 0) / (1 - p),
                "average_increase": float(o > p),
                "insertion": plain_area(protocol, insertion),
                "deletion": plain_area(protocol, deletion),
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
        dataclasses.replace(CASTREAM, deletion_end="black"),
        dataclasses.replace(PROTOCOLS["rise"], mask_space="normalised"),
        dataclasses.replace(CASTREAM, mask_share=0.5, mask_baseline="blur", step_rows=4, area_over="pixels"),
        dataclasses.replace(CASTREAM, mask_baseline="mean"),
        dataclasses.replace(CASTREAM, mask_baseline="noise"),
    ],
    ids=[
        "castream",
        "rise",
        "short last step",
        "one step",
        "deletion to black",
        "normalised masks",
        "half of the pixels on a blur",
        "mean",
        "noise",
    ],
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


ACTS_ON = {
    "step_rows": {"insertion", "deletion"},
    "blur_size": {"insertion"},
    "blur_sigma": {"insertion"},
    "mask_space": {"masked_probability", "average_drop"},
    "deletion_end": {"deletion"},
    "mask_share": {"masked_probability", "average_drop"},
    "mask_baseline": {"masked_probability", "average_drop"},
    "area_over": {"insertion", "deletion"},
}
"""Choices that are made here, and what they must move; the others come before: the image and the class."""
BEFORE = {"name", "resize", "explained_class", "interpolation", "shorter_side", "orientation", "transparency"}


@pytest.mark.parametrize("field", dataclasses.fields(Protocol), ids=lambda field: field.name)
def test_every_choice_changes_the_numbers(field):
    options = typing.get_args(field.type)
    if field.name in BEFORE or len(options) == 1:
        assert field.name not in ACTS_ON
        return
    rise, name = dataclasses.replace(PROTOCOLS["rise"], step_rows=4), field.name
    numbers = {"step_rows": (2, 3), "blur_size": (1, 5), "blur_sigma": (0.5, 1.0), "mask_share": (0.2, 0.6)}
    values = options or numbers[name]
    before = found_measures(rise, 7)
    for value in set(values) - {getattr(rise, name)}:
        after = found_measures(dataclasses.replace(rise, **{name: value}), 7)
        for measure in ACTS_ON[name]:
            assert np.abs(np.asarray(after[measure]) - np.asarray(before[measure])).max() > 1e-4, measure


IMAGES = jnp.asarray((PIXELS - MEAN) / STD, jnp.float32)
ARGUMENTS = (jnp.asarray(SOURCE), jnp.asarray(LABELS), PROTOCOLS["rise"], Normalisation(MEAN, STD), 7)


def logits(images: jax.Array) -> jax.Array:
    return jnp.log(score_fn(images)) + 2


def test_scores_that_are_no_probabilities_are_refused():
    """At once, and inside a jit where what it closes over shows it; else every number is NaN."""
    maps = jnp.asarray(MAPS)
    said = r"score_fn gives values in .*: expected probabilities: a softmax or a sigmoid of logits"
    with pytest.raises(InputError, match=said):
        measure_maps(logits, IMAGES, maps, *ARGUMENTS)
    with pytest.raises(InputError, match=said):
        jax.jit(lambda maps: measure_maps(logits, IMAGES, maps, *ARGUMENTS))(maps)
    found = jax.jit(lambda images, maps: measure_maps(logits, images, maps, *ARGUMENTS))(IMAGES, maps)
    assert all(np.isnan(values).all() for values in found.values())


def test_scores_that_leave_later_are_refused_too():
    """Probabilities on the images themselves, and not on what is made of them."""

    def sometimes(images):
        is_whole = jnp.isin(images[:, 0, 0, 0], IMAGES[:, 0, 0, 0])
        return score_fn(images) * jnp.where(is_whole, 1, 30)[:, None]

    maps = jnp.asarray(MAPS)
    with pytest.raises(InputError, match="score_fn gives values in"):
        measure_maps(sometimes, IMAGES, maps, *ARGUMENTS)


def test_maps_out_of_range_are_refused():
    maps = jnp.asarray(MAPS).at[1].add(-0.5)
    with pytest.raises(InputError, match=r"maps hold values in -0\..*: expected maps in 0\.\.1"):
        measure_maps(score_fn, IMAGES, maps, *ARGUMENTS)
    found = jax.jit(lambda maps: measure_maps(score_fn, IMAGES, maps, *ARGUMENTS))(maps)
    for values in found.values():
        assert np.isnan(values[1]).all()
        assert np.isfinite(np.delete(values, 1, axis=0)).all()


def test_maps_and_scores_that_are_nan_give_nan():
    maps = jnp.asarray(MAPS).at[2, 1, 1].set(jnp.nan)
    found = measure_maps(score_fn, IMAGES, maps, *ARGUMENTS)
    for values in found.values():
        assert np.isnan(values[2]).all()
        assert np.isfinite(np.delete(values, 2, axis=0)).all()
    broken = jax.jit(lambda maps: measure_maps(lambda x: score_fn(x) * jnp.nan, IMAGES, maps, *ARGUMENTS))(maps)
    assert all(np.isnan(values).all() for values in broken.values())


def test_labels_without_a_column_are_refused():
    arguments = (ARGUMENTS[0], ARGUMENTS[1].at[0].set(4), *ARGUMENTS[2:])
    with pytest.raises(InputError, match="labels are 0 to 4: score_fn gives the columns 0 to 3"):
        jax.jit(lambda maps: measure_maps(score_fn, IMAGES, maps, *arguments))(jnp.asarray(MAPS))
