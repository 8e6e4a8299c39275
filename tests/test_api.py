"""The public surface: maps and their measures, one compiled program for each shape, and clear errors."""

import dataclasses
import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

import castream_jax
from castream_jax import (
    METHODS,
    METRICS,
    PROTOCOLS,
    InputError,
    Preprocessing,
    api,
    attribute,
    evaluate_maps,
    explain,
    notices,
)
from castream_jax.binding.program import Plan, Views, run
from castream_jax.compute import on_devices
from castream_jax.data.pictures.preprocess import Resize
from tests import goldens
from tests.goldens import assert_close
from tests.networks import IMAGES, mild_resnet, small_convnext, small_resnet

pytestmark = pytest.mark.slow

LABELS = [4, 1]
SOME = "grad_cam", "grad_cam_pp", "score_cam", "attention", "attention_scores", "gradient_input"


def test_the_public_names_exist():
    assert all(hasattr(castream_jax, name) for name in castream_jax.__all__)
    assert castream_jax.__version__ == castream_jax.VERSION


@functools.cache
def expected_maps() -> dict[str, jax.Array]:
    """Return some maps of the small ResNet, computed together and in other chunks than `attribute`'s."""
    graphdef, state = nnx.split(small_resnet())

    @jax.jit
    def compute(state):
        views = Views(IMAGES, jnp.asarray(LABELS)[:, None])
        maps = run(
            {"": nnx.merge(graphdef, state)}, views, Plan("stage4", 7, tuple(METHODS[key] for key in SOME))
        ).computed.maps
        return {method: found[:, 0] for (method, _), found in maps.items()}

    return compute(state)


@pytest.mark.parametrize("method", SOME)
def test_attribute_is_explain(method):
    found = attribute(small_resnet(), np.asarray(IMAGES), LABELS, method)
    assert found.shape == ((2, 64, 96) if method == "gradient_input" else (2, 4, 6))
    assert found.dtype == jnp.float32
    assert_close(found, expected_maps()[method], absolute=1e-4)


@pytest.mark.optimised
@pytest.mark.parametrize(("method", "key"), [("grad_cam", "gradcam"), ("grad_cam_pp", "gradcampp")])
def test_golden_maps(method, key):
    golden = goldens.read("resnet18_stream_cam_metrics")
    found = attribute(goldens.network("resnet18"), goldens.images(), golden["label"], method)
    assert_close(found, golden[key], absolute=1e-4)


def test_a_target_by_name():
    model = small_convnext()
    branch, stage4 = (attribute(model, IMAGES, LABELS, "grad_cam", target) for target in ("branch", "stage4"))
    np.testing.assert_array_equal(attribute(model, IMAGES, LABELS, "grad_cam"), branch)
    assert not np.allclose(branch, stage4)


def test_a_network_without_a_stream():
    model = small_resnet("gap")
    assert attribute(model, IMAGES, LABELS, "grad_cam").shape == (2, 4, 6)
    for method in ("attention", "attention_scores"):
        with pytest.raises(InputError, match="needs a stream, and this network has none"):
            attribute(model, IMAGES, LABELS, method)


MAPS = np.random.default_rng(3).random((2, 4, 6)).astype(np.float32)


def test_evaluate_maps_is_measure_maps():
    """Here under a protocol of one's own; the next test names one of ours."""
    model, mine = small_resnet(), dataclasses.replace(PROTOCOLS["rise"], name="mine", step_rows=24)
    graphdef, state = nnx.split(model)
    found = evaluate_maps(model, IMAGES, LABELS, MAPS, mine, chunk=16)

    @jax.jit
    def measure(state, maps):
        views = Views(IMAGES, jnp.asarray(LABELS)[:, None], given={"mine": maps})
        metrics = tuple(metric for metric in METRICS.values() if metric.by_default and not metric.needs_truth)
        plan = Plan("stage4", 24, given=("mine",), metrics=metrics, protocols=(mine,))
        (columns,) = run({"": nnx.merge(graphdef, state)}, views, plan).measures
        return {name: values[0] for name, values in columns.items()}

    expected = measure(state, jnp.asarray(MAPS))
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert values.shape[0] == 2
        assert_close(found[key], values, absolute=1e-5)


def test_what_is_random_depends_on_the_place_and_not_on_the_device():
    """One image twice, each on a device of its own."""
    images, maps = (jnp.repeat(jnp.asarray(values[:1]), 2, axis=0) for values in (IMAGES, MAPS))
    found = evaluate_maps(mild_resnet(), images, [4, 4], maps, metrics=("MRG", "D"))
    assert_close(found["deletion"][0], found["deletion"][1], absolute=1e-6)
    assert abs(float(found["most_relevance_gain"][0] - found["most_relevance_gain"][1])) > 1e-4


def test_attribute_compiles_once_for_each_shape():
    model, other = small_resnet(), small_resnet()
    nnx.update(other, jax.tree.map(lambda leaf: leaf * 1.01, nnx.state(other)))
    attribute(model, IMAGES, LABELS, "grad_cam")
    programs = on_devices.create_program.cache_info().misses
    attribute(model, IMAGES[::-1], np.asarray([0, 0]), "grad_cam")
    attribute(model, IMAGES, LABELS, "grad_cam", target="stage4")  # the default, by name
    attribute(other, IMAGES, LABELS, "grad_cam")  # other weights
    assert on_devices.create_program.cache_info().misses == programs
    attribute(model, IMAGES[:1], LABELS[:1], "grad_cam")
    assert on_devices.create_program.cache_info().misses == programs + 1


def test_pictures_of_many_sizes_are_told_once(monkeypatch, caplog):
    monkeypatch.setattr(api, "_SIZES", {(1, side) for side in range(4)})
    monkeypatch.setattr(notices, "_SAID", set())
    attribute(small_resnet(), IMAGES, LABELS, "grad_cam")
    assert "images of 5 sizes came so far" in caplog.text
    attribute(small_resnet(), IMAGES, LABELS, "grad_cam")
    assert caplog.text.count("`ca.choose_size`") == 1


def test_evaluate_maps_compiles_once_for_each_shape():
    model = small_resnet()
    found = evaluate_maps(model, IMAGES, LABELS, MAPS)
    assert found["insertion_curve"].shape == (2, 9)  # 64 rows, 8 a step
    programs = on_devices.create_program.cache_info().misses
    evaluate_maps(model, IMAGES[::-1], [0, 2], 1 - MAPS, PROTOCOLS["castream"])
    assert on_devices.create_program.cache_info().misses == programs


def bad(**changes):
    """Return the arguments that both functions share, with some of them spoilt."""
    return {"model": small_resnet(), "images": IMAGES, "labels": LABELS} | changes


NAN = np.asarray(IMAGES).copy()
NAN[1, 3, 4, 2] = np.nan
BAD_BATCHES = [
    (bad(images=NAN), r"images \[1\] of the batch hold NaN or infinite pixels"),
    (bad(images=np.full((2, 48, 40, 3), np.inf)), r"images \[0, 1\] of the batch hold NaN or infinite"),
    (bad(images=np.full((2, 48, 40, 3), 1e300)), r"images \[0, 1\] of the batch hold NaN or infinite"),
    (
        bad(images=IMAGES * 255),
        r"images \[0, 1\] of the batch are in .*: a pixel that is normalised for resnet18_small",
    ),
    (bad(images=np.zeros((2, 3, 48, 3), np.float32)), r"images have shape .*channels first: give images.transpose"),
    (bad(labels=None), "labels are None: expected 2 integers"),
    (bad(labels=[1, 5]), "label 5 is out of range: resnet18_small has classes 0 to 4"),
    (bad(model=small_resnet(num_classes=1)), "resnet18_small has one class: the softmax of one logit is 1"),
    (bad(chunk=-1), "chunk is -1: expected 1 or more"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_BATCHES, ids=[message[:30] for _, message in BAD_BATCHES])
def test_bad_batches(arguments, message):
    with pytest.raises(InputError, match=message):
        attribute(**arguments, method="grad_cam")
    with pytest.raises(InputError, match=message):
        evaluate_maps(**arguments, maps=MAPS)


def test_bad_methods_and_targets():
    with pytest.raises(InputError, match="unknown method 'gradcam'. Did you mean 'grad_cam'"):
        attribute(**bad(), method="gradcam")
    with pytest.raises(InputError, match="unknown target 'stage5'. Did you mean 'stage4'"):
        attribute(**bad(), method="grad_cam", target="stage5")


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (MAPS[:1], r"maps have shape \(1, 4, 6\): expected \[B h w\] with B = 2"),
        (MAPS[..., None], r"maps have shape \(2, 4, 6, 1\): expected"),
        (MAPS[:, :0], r"maps have shape \(2, 0, 6\): expected"),
        (MAPS + 0.5, r"maps are in 0\.\d+\.\.1\.\d+: expected values in 0\.\.1"),
        (np.full((2, 3, 3), np.nan), r"maps \[0, 1\] hold NaN or infinities: expected finite values"),
    ],
)
def test_bad_maps(maps, message):
    with pytest.raises(InputError, match=message):
        evaluate_maps(**bad(), maps=maps)


def test_an_unknown_protocol():
    with pytest.raises(InputError, match="unknown protocol 'rice'. Did you mean 'rise'"):
        evaluate_maps(**bad(), maps=MAPS, protocol="rice")


def test_images_too_small_for_convnext():
    with pytest.raises(InputError, match="images are 31x96: convnext_tiny needs at least 32 pixels a side"):
        attribute(small_convnext(), IMAGES[:, :31], LABELS, "grad_cam")


def test_explain_is_attribute_for_every_image():
    found = explain(small_resnet(), IMAGES, labels=LABELS, methods=("grad_cam", "attention"))
    for method in ("grad_cam", "attention"):
        expected = attribute(small_resnet(), IMAGES, LABELS, method)
        for i, picture in enumerate(found.pictures):
            assert picture.classes == (LABELS[i],)
            assert_close(picture.maps[method, "ca"][0], expected[i], absolute=1e-4)
    data, _ = found._repr_png_()
    assert data.startswith(b"\x89PNG")


def test_explain_takes_files_pictures_and_bytes(tmp_path):
    model, names = small_resnet(), ["cat", "dog", "élan", "crane", "fly"]
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    settings = {"methods": ("attention",), "class_names": names}
    one = explain(model, tmp_path / "a.png", [["dog", 0]], size=64, **settings).pictures[0]
    assert (one.name, one.classes, one.pixels.shape) == ("a.png", (1, 0), (64, 64, 3))
    assert one.ratio == pytest.approx(60 / 90)
    two = explain(model, [Image.fromarray(pixels), str(tmp_path / "a.png")], size=64, **settings)
    np.testing.assert_array_equal(two.pictures[0].pixels, one.pixels)
    np.testing.assert_array_equal(two.pictures[1].pixels, one.pixels)
    kept = explain(model, one.pixels[None], **settings).pictures[0]
    np.testing.assert_array_equal(kept.pixels, one.pixels)
    np.testing.assert_allclose(kept.maps["attention", "ca"][0], one.maps["attention", "ca"][0], atol=1e-6)


@pytest.mark.parametrize(
    ("images", "changes", "said"),
    [
        (IMAGES, {"labels": [1]}, "labels are 1: expected one entry for each of the 2 images"),
        (IMAGES, {"labels": ["cat", "dgo"], "class_names": ["cat", "dog", "c", "d", "e"]}, "Did you mean 'dog'"),
        (IMAGES, {"class_names": ["cat"]}, "class_names are 1: resnet18_small has 5 classes"),
        (IMAGES * np.nan, {}, "NaN"),
        (np.asarray(IMAGES * 255), {}, "a pixel that is normalised for resnet18_small is in -2"),
        (np.zeros((2, 3, 64, 3), np.uint8), {}, "channels first"),
        ([], {}, "no images"),
        ([np.zeros((4, 4, 3))], {}, "image 0 is ndarray: expected a file's path"),
        (3, {}, "image 0 is int: expected a file's path"),
        (IMAGES, {"labels": "cat"}, "labels are 'cat': expected one entry for each of the 2 images"),
        (IMAGES, {"labels": 7}, "labels are 7: expected one entry"),
        (IMAGES, {"labels": [2.9, 1]}, r"labels has the entry 2\.9: expected a class by label, an integer, or by name"),
        (IMAGES, {"labels": [[1, None], 1]}, "labels has the entry None"),
        (IMAGES, {"labels": [[], 1]}, "an entry without classes"),
        (IMAGES, {"class_names": "cat"}, "class_names are 'cat': expected the 5 names in a list"),
        (IMAGES, {"methods": ()}, "there are no methods: expected some of grad_cam, "),
        ("missing.jpg", {}, "missing.jpg: No such file"),
    ],
)
def test_explain_says_what_is_wrong(images, changes, said):
    with pytest.raises(InputError, match=said):
        explain(small_resnet(), images, **({"methods": ("attention",)} | changes))


def test_explain_takes_single_values_and_arrays(tmp_path):
    names = np.array(["cat", "dog", "élan", "crane", "fly"])
    for labels in (1, "dog", np.int64(1), np.array(1), [1], np.array([1])):
        found = explain(small_resnet(), IMAGES[:1], labels, "attention", names).pictures[0]
        assert found.classes == (1,)
    free, fixed = explain(small_resnet(), IMAGES, [None, 3], "attention", names).pictures
    assert (len(free.classes), fixed.classes) == (3, (3,))


def test_pictures_of_pillow_are_read_as_files_are(tmp_path):
    model, exif = small_resnet(), Image.Exif()
    exif[0x0112] = 6  # turn by a quarter, clockwise
    values = np.random.default_rng(0).integers(0, 256, (60, 90, 4), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(values[..., 0].astype(np.uint16) * 200).save(tmp_path / "16 bits.png")
    for file in sorted(tmp_path.iterdir()):
        with Image.open(file) as opened:
            before = opened.mode, opened.size
            one, two = explain(model, [opened, file], methods="attention", size=64).pictures
            assert (opened.mode, opened.size) == before
        assert one.ratio == two.ratio
        np.testing.assert_array_equal(one.pixels, two.pixels)
    file.write_bytes(file.read_bytes()[:-400])
    with Image.open(file) as opened, pytest.raises(InputError, match="cannot read image 0 as a picture: "):
        explain(model, opened, methods="attention", size=64)


def broken(pooling: str = "ca"):
    """Return a network whose first class is not a number."""
    model = small_resnet(pooling)
    kernel = model.classifier.linear.kernel
    kernel[...] = kernel[...].at[0, 0].set(jnp.nan)
    return model


def negative():
    """Return a network for whose classes no place counts: every weight of its classifier is below 0."""
    model = small_resnet("gap")
    kernel = model.classifier.linear.kernel
    kernel[...] = -jnp.abs(kernel[...])
    return model


def test_maps_of_zeros_are_warned_of(caplog):
    assert not np.any(attribute(broken(), IMAGES, [0, 0], "grad_cam"))
    assert caplog.messages == ["images [0, 1]: the grad_cam map is not a number; it comes as zeros."]
    caplog.clear()
    assert not np.any(attribute(negative(), IMAGES, [1, 2], "grad_cam"))
    assert caplog.messages == ["images [0, 1]: the grad_cam map has nothing positive for its class; it comes as zeros."]
    caplog.clear()
    assert not np.any(attribute(small_resnet(), IMAGES[:, :16, :16], LABELS, "attention"))
    assert caplog.messages == ["images [0, 1]: the attention map is the same everywhere; it comes as zeros."]
    caplog.clear()
    assert np.any(attribute(small_resnet(), IMAGES, LABELS, "grad_cam"))
    assert caplog.messages == []


def test_measures_of_a_network_that_is_not_a_number_are_none():
    found = evaluate_maps(broken(), IMAGES, LABELS, MAPS)
    assert all(np.isnan(values).all() for values in found.values())


def test_explain_says_what_is_not_a_number_and_what_has_nothing(tmp_path):
    found = explain(broken(), IMAGES[:1], methods="grad_cam")
    picture = found.pictures[0]
    assert picture.predicted == {"gap": -1, "ca": -1}
    assert picture.nan["grad_cam", "ca"].all()
    assert {picture.remark(key, k) for key in picture.maps for k in range(3)} == {"not a number"}
    nothing = explain(negative(), IMAGES[:1], [[1, 2]], methods=("grad_cam", "score_cam")).pictures[0]
    assert nothing.all_negative["grad_cam", "gap"].all()
    assert nothing.remark(("grad_cam", "gap"), 1) == "nothing positive for this class"
    assert nothing.remark(("score_cam", "gap"), 1) == ""
    with pytest.raises(InputError, match="one class: the softmax of one logit is 1"):
        explain(small_resnet(num_classes=1), IMAGES[:1])


def test_explain_sees_pictures_as_the_network_was_trained(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("castream_jax"), "propagate", True)
    pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    model = small_resnet()
    model.preprocessing = Preprocessing(48, "crop", "bicubic", 64)
    model.class_names = ("cat", "dog", "élan", "crane", "fly")
    found = explain(model, tmp_path / "a.png", ["dog"], methods="attention")
    np.testing.assert_array_equal(found.pictures[0].pixels, np.asarray(Resize(48, "crop", "bicubic", 64)(image)))
    assert found.class_names == model.class_names
    assert not caplog.records
    other = explain(model, tmp_path / "a.png", methods="attention", size=96)
    np.testing.assert_array_equal(other.pictures[0].pixels, np.asarray(Resize(96, "crop", "bicubic", 128)(image)))
    assert "this network was trained on images of 48 pixels: size is 96" in caplog.text
    caplog.clear()
    explain(small_resnet(), tmp_path / "a.png", methods="attention", size=48)
    assert "is not known: turned upright, put on white, squashed to 48x48" in caplog.text
