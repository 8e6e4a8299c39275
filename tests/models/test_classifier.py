"""Networks as everything else sees them: sizes, parameter counts, poolings, targets, and errors."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError, create_model, export_weights, load_torch_weights
from castream_jax.models import resnet
from castream_jax.models.classifier import ARCHITECTURES
from castream_jax.models.layers import modules
from castream_jax.models.resnet import ResNetSpec
from tests.goldens import assert_close
from tests.models.plain import draw
from tests.networks import BUILDS, IMAGES, ROUNDING, fill, forward, random_images, small_convnext, small_resnet

pytestmark = pytest.mark.slow

PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
    "resnet18d": 11_708_744,
    "resnet34d": 21_816_904,
    "resnet50d": 25_576_264,
    "resnet101d": 44_568_392,
    "convnext_tiny": 28_589_128,
    "convnext_small": 50_223_688,
    "convnext_base": 88_591_464,
    "convnext_large": 197_767_336,
    "efficientnet_lite0": 4_652_008,
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
    "efficientnet_lite3": 8_197_096,
    "efficientnet_lite4": 13_006_568,
}
"""As published with torchvision's weights; as timm counts those of ResNet-D and EfficientNet-Lite."""

OURS = ("resnet18_small", "efficientnet_lite0_symmetric")
CIFAR_PARAMETERS = {
    "cifar_resnet20": 269_722,
    "cifar_resnet32": 464_154,
    "cifar_resnet44": 658_586,
    "cifar_resnet56": 853_018,
}
"""Of ten classes, with shortcuts that have none."""

STREAM_PARAMETERS = {"resnet18": 439_808, "resnet50": 6_969_152, "convnext_base": 1_739_648}


def abstract(name: str, pooling: str = "ca", **options):
    return nnx.eval_shape(lambda: create_model(name, pooling, **options))


def count(state: nnx.State) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(state))


def test_published_parameter_counts_are_all_here():
    assert set(PARAMETERS) == set(ARCHITECTURES) - {*CIFAR_PARAMETERS, *OURS}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts(name):
    assert count(nnx.state(abstract(name, "gap"), nnx.Param)) == PARAMETERS[name]


@pytest.mark.parametrize("name", CIFAR_PARAMETERS)
def test_parameter_counts_of_the_networks_for_small_images(name):
    assert count(nnx.state(abstract(name, "gap", num_classes=10), nnx.Param)) == CIFAR_PARAMETERS[name]


def test_a_network_of_a_spec():
    spec = ResNetSpec((1, 1), bottleneck=True, widths=(8, 16), strides=(1, 2), inner=2)
    model = abstract(spec, num_classes=3)
    assert (model.name, model.target(None)) == ("resnet", "stage2")
    assert model.backbone.tap_widths == (8, 32, 64)
    assert {"layer2.0.conv2.weight", "l2.to_out.1.weight", "fc.bias"} <= export_weights(fill(model)).keys()


def test_a_spec_of_groups_a_deep_stem_and_averaged_shortcuts():
    stem = resnet.Stem(size=3, stride=2, pool=False, deep=True)
    spec = ResNetSpec((1, 1), True, widths=(8, 16), strides=(1, 2), stem=stem, inner=2, groups=4, averaged=True)
    model = fill(abstract(spec, num_classes=3))
    exported = export_weights(model)
    assert exported["layer2.0.conv2.weight"].shape == (32, 8, 3, 3)
    assert {"conv1.0.weight", "conv1.6.weight", "bn1.bias", "layer2.0.downsample.1.weight"} <= exported.keys()
    chex.assert_trees_all_equal(
        nnx.state(load_torch_weights(abstract(spec, num_classes=3), exported)), nnx.state(model)
    )
    with pytest.raises(InputError, match="transformers's naming has no names for all layers of this resnet"):
        export_weights(model, "transformers")


def test_shortcuts_of_zeros():
    """Every second position, between channels of zeros, as many on either side."""
    block = resnet.Block(4, 8, 2, resnet.SPECS["cifar_resnet20"], nnx.Rngs(0))
    block.convs[-1].scale[...] = jnp.zeros(8)
    x = jnp.abs(draw(2, 5, 6, 4))
    np.testing.assert_array_equal(block(x, False), np.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (2, 2))))
    np.testing.assert_array_equal(block(x, True), block(x, False))


@pytest.mark.parametrize("name", STREAM_PARAMETERS)
def test_parameters_that_the_stream_adds(name):
    ca = abstract(name)
    assert count(nnx.state(ca.stream)) == STREAM_PARAMETERS[name]
    assert count(nnx.state(ca, nnx.Param)) == PARAMETERS[name] + STREAM_PARAMETERS[name]


def test_gap_and_ca_of_one_seed_share_backbone_and_classifier():
    gap, ca = (create_model("resnet18_small", pooling, 5, seed=3) for pooling in ("gap", "ca"))
    for part in ("backbone", "classifier"):
        ours, theirs = nnx.state(getattr(gap, part)), nnx.state(getattr(ca, part))
        chex.assert_trees_all_equal(ours, theirs)
    other = create_model("resnet18_small", "gap", 5, seed=4)
    assert not np.array_equal(gap.classifier.linear.kernel[...], other.classifier.linear.kernel[...])
    assert gap.stream is None
    assert (gap.pooling, ca.pooling) == ("gap", "ca")


RESNET_SIZES = {
    (224, 224): [(56, 56), (56, 56), (28, 28), (14, 14), (7, 7)],
    (199, 233): [(50, 59), (50, 59), (25, 30), (13, 15), (7, 8)],
    (1, 2): [(1, 1)] * 5,
}
CONVNEXT_SIZES = {
    (224, 224): [(56, 56), (28, 28), (14, 14), (7, 7)],
    (199, 233): [(49, 58), (24, 29), (12, 14), (6, 7)],
    (32, 63): [(8, 15), (4, 7), (2, 3), (1, 1)],
}
LITE_SIZES = {
    (224, 224): [(56, 56), (28, 28), (14, 14), (7, 7)],
    (199, 233): [(50, 59), (25, 30), (13, 15), (7, 8)],
    (1, 2): [(1, 1)] * 4,
}


@pytest.mark.parametrize(
    ("name", "image", "sizes"),
    [("resnet18", *item) for item in RESNET_SIZES.items()]
    + [("convnext_tiny", *item) for item in CONVNEXT_SIZES.items()]
    + [("efficientnet_lite0", *item) for item in LITE_SIZES.items()]
    + [("efficientnet_lite0_symmetric", *item) for item in LITE_SIZES.items()],
)
def test_feature_maps_of_odd_images(name, image, sizes):
    model = abstract(name)
    graphdef, state = nnx.split(model)

    def run(state, images):
        network = nnx.merge(graphdef, state)
        features = network.features(images)
        return features, network.head(features)

    features, (logits, attention) = jax.eval_shape(run, state, jax.ShapeDtypeStruct((2, *image, 3), jnp.float32))
    assert [features[tap].shape[1:3] for tap in model.backbone.taps] == sizes
    assert [features[tap].shape[3] for tap in model.backbone.taps] == list(model.backbone.tap_widths)
    assert [found.shape for found in attention] == [(2, 1, *size) for size in sizes]
    assert logits.shape == (2, 1000)


def test_the_small_resnet_ends_in_6x6():
    model = small_resnet()
    features = jax.eval_shape(model.features, random_images(1, 96, 96))
    assert [features[tap].shape[1] for tap in model.backbone.taps] == [24, 24, 12, 6, 6]


def test_gap_is_the_mean_of_the_last_feature_map():
    for model in (small_resnet("gap"), small_convnext("gap")):
        features, logits, attention = forward(model, IMAGES)
        pooled = np.asarray(features["stage4"], np.float64).mean((1, 2))
        assert_close(logits, model.classifier(jnp.asarray(pooled, jnp.float32)), relative=1e-5)
        assert attention == ()


def test_convnext_normalises_what_it_pooled():
    model = small_convnext()
    pooled = jnp.asarray(np.random.default_rng(0).standard_normal((2, 64)), jnp.float32)
    assert_close(model.classifier(pooled), model.classifier(7 * pooled + 3), relative=1e-4)
    assert small_resnet().classifier.norm is None


def test_several_heads():
    one, two = small_resnet(heads=1), small_resnet(heads=2)
    features, logits_1, attention_1 = forward(one, IMAGES)
    logits_2, attention_2 = two.head(features)
    assert [found.shape[1] for found in attention_2] == [2] * 5
    assert not np.allclose(logits_1, logits_2)  # same weights, other attention
    assert not np.allclose(attention_1[0][:, 0], attention_2[0][:, 0])


def test_poolings_share_one_trunk():
    model, gap = small_resnet("ca"), small_resnet("gap")
    nnx.update(gap.backbone, nnx.state(model.backbone))
    nnx.update(gap.classifier, nnx.state(model.classifier))
    features, logits, _ = forward(model, IMAGES)
    parts = model.poolings()
    assert list(parts) == ["gap", "ca"]
    assert_close(parts["ca"].head(features)[0], logits, relative=1e-6)
    assert_close(parts["gap"].head(features)[0], forward(gap, IMAGES)[1], relative=1e-6)
    assert list(gap.poolings()) == ["gap"]


def test_targets():
    resnet, convnext = small_resnet(), small_convnext()
    assert (resnet.target(None), convnext.target(None)) == ("stage4", "branch")
    assert (resnet.target("stage4"), convnext.target("stage4")) == ("stage4", "stage4")
    with pytest.raises(InputError, match="unknown target 'stage5'. Did you mean 'stage4'"):
        resnet.target("stage5")
    with pytest.raises(InputError, match="unknown target 'branch'.*Choose one of: stage4"):
        resnet.target("branch")


def test_the_branch_of_convnext_decides_its_last_stage():
    """`stage4 = shortcut + layer_scale * branch`, also for a branch put in its place."""
    model = small_convnext()
    features, _, _ = forward(model, IMAGES)
    scale = np.asarray(model.backbone.stages[-1][-1].layer_scale[...])
    shortcut, branch = np.asarray(features["shortcut"]), np.asarray(features["branch"])
    assert_close(features["stage4"], shortcut + scale * branch, relative=1e-6)
    replaced = model.backbone.replace(features, "branch", 2 * features["branch"])
    assert_close(replaced["stage4"], shortcut + 2 * scale * branch, relative=1e-6)
    assert set(replaced) == set(features)
    stage4 = model.backbone.replace(features, "stage4", features["stage4"] + 1)
    assert_close(stage4["stage4"], shortcut + scale * branch + 1, relative=1e-6)
    np.testing.assert_array_equal(stage4["branch"], branch)


@pytest.mark.parametrize("family", BUILDS)
def test_bfloat16_is_the_backbone_s_alone(family):
    build = BUILDS[family]
    exact, rounded = build(), build(dtype="bfloat16")
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(nnx.state(rounded))} == {"float32"}
    features, logits, attention = forward(rounded, IMAGES)
    assert {str(feature_map.dtype) for feature_map in features.values()} == {"bfloat16"}
    assert logits.dtype == attention[-1].dtype == jnp.float32
    gap = rounded.poolings()["gap"].head(features)[0]
    assert gap.dtype == jnp.float32
    assert_close(gap, exact.poolings()["gap"].head(forward(exact, IMAGES)[0])[0], relative=0.05 * ROUNDING[family])


def test_training_statistics_move_only_in_training():
    graphdef, before = nnx.split(small_resnet("gap"))

    @functools.partial(jax.jit, static_argnames="train")
    def run(state: nnx.State, images: jax.Array, train: bool):
        network = nnx.merge(graphdef, state)
        features = network.features(images, train)
        return features["stage4"], nnx.state(network)

    (still, same), (moved, other) = (run(before, IMAGES, train) for train in (False, True))
    chex.assert_trees_all_equal(before, same)
    assert not np.allclose(still, moved)
    statistics = [nnx.filter_state(state, nnx.BatchStat) for state in (before, other)]
    assert not any(jax.tree.leaves(jax.tree.map(np.array_equal, *statistics)))
    params = [nnx.filter_state(state, nnx.Param) for state in (before, other)]
    chex.assert_trees_all_equal(*params)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet81"}, "unknown model 'resnet81'. Did you mean 'resnet18'"),
        ({"pooling": "gab"}, "unknown pooling 'gab'. Did you mean 'gap'"),
        ({"dtype": "float23"}, "unknown dtype 'float23'. Did you mean 'float32'"),
        ({"stream_init": "identiy"}, "unknown stream_init 'identiy'. Did you mean 'identity'"),
        ({"num_classes": 0}, "num_classes is 0: it must be at least 1"),
        ({"heads": 3}, "heads is 3: .*divide the 16 channels"),
        ({"heads": 0}, "heads is 0: it must be at least 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        abstract(**{"name": "resnet18_small", "num_classes": 5} | options)


@pytest.mark.parametrize("image", [(31, 64), (64, 16), (1, 1)])
def test_images_too_small_for_convnext(image):
    with pytest.raises(InputError, match=rf"images are {image[0]}x{image[1]}: .*at least 32 pixels a side"):
        small_convnext().features(random_images(1, *image))


@pytest.mark.parametrize("family", BUILDS)
def test_early_layers_a_few_images_at_a_time_change_nothing(monkeypatch, family):
    model, images, seen = BUILDS[family](), random_images(5, 64, 64), []
    early = type(model.backbone)._early_stages
    names: set[str] = set()

    def watched(self, x, *train):
        found = early(self, x, *train)
        seen.append(len(x))
        names.update(found)
        return found

    monkeypatch.setattr(type(model.backbone), "_early_stages", watched)
    found = []
    for limit in (2**10, 2**30):
        monkeypatch.setattr(modules, "CACHE_BYTES", limit)
        found.append(forward(model, images)[0])
    assert 1 in seen
    assert 5 in seen
    for name in names:  # what follows is the same program of these
        values = found[1][name]
        assert_close(found[0][name], values, absolute=1e-6 * float(jnp.abs(values).max()))
