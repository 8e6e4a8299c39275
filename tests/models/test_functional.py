"""Networks of two functions, of every library: the same numbers as the library's own, from arrays that are state."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from castream_jax.compute.sharding import create_local_mesh, replicate, split_images
from castream_jax.errors import InputError
from castream_jax.models.functional import FunctionalNetwork, network
from castream_jax.models.network import Network

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(8, 16, 16, 3)), jnp.float32)
RNG = np.random.default_rng(1)
KERNELS = {
    "early": jnp.asarray(RNG.normal(size=(4, 4, 3, 8)) / 7, jnp.float32),
    "late": jnp.asarray(RNG.normal(size=(2, 2, 8, 32)) / 6, jnp.float32),
    "classes": jnp.asarray(RNG.normal(size=(32, 5)) / 6, jnp.float32),
}


def convolve(x, kernel):
    size = kernel.shape[0]
    return lax.conv_general_dilated(x, kernel, (size, size), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def plain_features(images):
    early = jax.nn.relu(convolve(images, KERNELS["early"]))
    return {"stem": early, "body": jax.nn.relu(convolve(early, KERNELS["late"]))}


def plain_head(features):
    return features["body"].mean((1, 2)) @ KERNELS["classes"]


def of_plain():
    return network(plain_features, plain_head, MEAN, STD, size=16), plain_features, plain_head


def of_compiled():
    """As a user compiles them, with numpy's arrays in the one and JAX's in the other."""
    classes = np.asarray(KERNELS["classes"])
    features, head = jax.jit(plain_features), jax.jit(lambda found: found["body"].mean((1, 2)) @ classes)
    return network(features, head, MEAN, STD, size=16), plain_features, plain_head


def of_linen():
    class Net(nn.Module):
        def setup(self):
            self.body, self.norm, self.classes = nn.Conv(32, (8, 8), 8), nn.BatchNorm(True), nn.Dense(5)

        def features(self, images):
            return nn.relu(self.norm(self.body(images)))

        def head(self, found):
            return self.classes(found.mean((1, 2)))

        def __call__(self, images):
            return self.head(self.features(images))

    net = Net()
    params = net.init(jax.random.key(0), IMAGES)
    features, head = (
        (lambda x: net.apply(params, x, method="features")),
        (lambda x: net.apply(params, x, method="head")),
    )
    return network(features, head, MEAN, STD, size=16), features, head


def of_nnx():
    rngs = nnx.Rngs(0)
    body, norm, classes = (
        nnx.Conv(3, 32, (8, 8), 8, rngs=rngs),
        nnx.BatchNorm(32, rngs=rngs),
        nnx.Linear(32, 5, rngs=rngs),
    )
    norm.eval()
    features, head = (lambda x: {"body": nnx.relu(norm(body(x)))}), (lambda found: classes(found["body"].mean((1, 2))))
    return network(features, head, MEAN, STD, size=16), features, head


def of_equinox():
    keys = jax.random.split(jax.random.key(0))
    body, classes = eqx.nn.Conv2d(3, 32, 8, 8, key=keys[0]), eqx.nn.Linear(32, 5, key=keys[1])

    def features(x):
        return jax.vmap(body)(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)

    def head(found):
        return jax.vmap(classes)(found.mean((1, 2)))

    return network(features, head, MEAN, STD, size=16), features, head


def of_tokens():
    """As a vision transformer: patches, attention over them, and the tokens put back on their grid."""
    embed, project = (jnp.asarray(RNG.normal(size=shape) / 6, jnp.float32) for shape in ((48, 32), (32, 32)))

    def features(images):
        b, h, w, c = images.shape
        patches = images.reshape(b, h // 4, 4, w // 4, 4, c).swapaxes(2, 3).reshape(b, h * w // 16, 16 * c)
        tokens = patches @ embed
        tokens = tokens + jax.nn.softmax(tokens @ tokens.swapaxes(1, 2) / 6) @ (tokens @ project)
        return {"tokens": tokens.reshape(b, h // 4, w // 4, 32)}

    def head(found):
        return found["tokens"].mean((1, 2)) @ KERNELS["classes"]

    return network(features, head, MEAN, STD, size=16), features, head


KINDS = [of_plain, of_compiled, of_linen, of_nnx, of_equinox, of_tokens]


def as_map(found):
    return list(found.values())[-1] if isinstance(found, dict) else found


def put(found, feature_map):
    return found | {list(found)[-1]: feature_map} if isinstance(found, dict) else feature_map


def differentiate(head, found):
    """Return the gradient of the logits of class 1 by the last feature map."""
    return jax.grad(lambda feature_map: head(put(found, feature_map))[:, 1].sum())(as_map(found))


def largest_constant(program) -> int:
    """Return the size of the largest array that a program holds, not counting what it is given."""
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    inner = [value for equation in jaxpr.eqns for value in jax.tree.leaves(list(equation.params.values()))]
    within = [largest_constant(value) for value in inner if hasattr(value, "eqns") or hasattr(value, "jaxpr")]
    return max([0, *map(np.size, constants), *within])


@pytest.mark.parametrize("create", KINDS)
def test_it_computes_what_its_functions_do(create):
    net, features, head = create()
    assert isinstance(net, Network)
    assert (net.num_classes, net.pooling, list(net.poolings()), net.has_attention) == (5, "network", ["network"], False)
    graphdef, state = nnx.split(net)

    @jax.jit
    def run(state, images):
        model = nnx.merge(graphdef, state)
        found = model.features(images)
        target = model.target(None)

        def logits(feature_map):
            return model.head(model.replace(found, target, feature_map))[0]

        gradient = jax.grad(lambda feature_map: logits(feature_map)[:, 1].sum())(found[target])
        return found[target], logits(found[target]), gradient

    assert jax.tree.leaves(state)
    assert largest_constant(jax.make_jaxpr(lambda images: head(features(images)))(IMAGES)) > 100
    assert largest_constant(jax.make_jaxpr(run)(state, IMAGES)) <= 8, "weights are arguments"
    for images in (IMAGES, IMAGES[:3, :8]):
        found, logits, gradient = run(state, images)
        expected = features(images)
        by_user = differentiate(head, expected)
        np.testing.assert_allclose(found, as_map(expected), atol=1e-5)
        np.testing.assert_allclose(logits, head(expected), atol=1e-5)
        np.testing.assert_allclose(gradient, by_user, atol=1e-6)
    doubled = run(jax.tree.map(lambda array: 2 * array, state), IMAGES)[1]
    assert np.abs(doubled - run(state, IMAGES)[1]).max() > 1e-2, "the state is what it computes with"


def test_each_device_computes_its_own_images():
    net, features, head = of_compiled()
    mesh = create_local_mesh()
    graphdef, state = nnx.split(net)
    run = split_images(lambda state, images: nnx.merge(graphdef, state)(images), mesh)
    np.testing.assert_allclose(jax.jit(run)(replicate(state, mesh), IMAGES), head(features(IMAGES)), atol=1e-5)


def test_arrays_that_both_functions_read_are_held_once():
    tied = jnp.ones((3, 3))
    net = network(lambda x: x @ tied, lambda x: (x @ tied).mean((1, 2)), MEAN, STD, size=4)
    assert [array.shape for array in net.arrays] == [(3, 3)]


def test_what_is_made_anew_in_each_trace_is_known_by_its_content():
    """Arrays of numpy, copies of them, and constants that depend on the images' size."""
    weights = [RNG.normal(size=(3, 3)).astype(np.float32) for _ in range(3)]

    def features(images):
        for weight in weights:
            images = images @ jnp.asarray(weight.copy())
        return images * np.linspace(1, 2, images.shape[2], dtype=np.float32)[:, None].reshape(1, 1, -1, 1)

    net = network(features, lambda x: x.mean((1, 2)), MEAN, STD, size=4)
    assert [array.shape for array in net.arrays] == [(3, 3)] * 3 + [(1, 1, 4, 1)]
    for i, weight in enumerate(weights):
        np.testing.assert_array_equal(net.arrays[i][...], weight)
    graphdef, state = nnx.split(net)
    for images in (IMAGES[:, :4, :4], IMAGES[:, :4, :6]):
        program = jax.make_jaxpr(lambda state, images: nnx.merge(graphdef, state)(images))(state, images)
        assert largest_constant(program) <= 6
        np.testing.assert_allclose(net(images), features(images).mean((1, 2)), atol=1e-5)


def test_targets():
    def reads_both(found):
        return plain_head(found) + found["stem"].mean((1, 2, 3))[:, None]

    net = network(plain_features, reads_both, MEAN, STD, size=16)
    assert net.targets == ("body", "stem")
    assert net.target(None) == "body"
    found = net.features(IMAGES)
    moved = net.head(net.replace(found, "stem", found["stem"] + 1))[0] - net.head(found)[0]
    np.testing.assert_allclose(moved, np.ones((8, 5)), atol=1e-5)
    assert of_plain()[0].targets == ("body",), "the head does not read the stem"
    chosen = network(plain_features, reads_both, MEAN, STD, size=16, targets=["stem"])
    assert chosen.target(None) == "stem"
    with pytest.raises(InputError, match="unknown target 'body'"):
        chosen.target("body")


def test_one_logit_under_a_sigmoid_is_two_classes():
    def one(found):
        return plain_head(found)[:, :1]

    net = network(plain_features, one, MEAN, STD, score="sigmoid", size=16, class_names=("no", "yes"))
    logits = net(IMAGES)
    z = one(plain_features(IMAGES))
    np.testing.assert_allclose(logits, np.concatenate([-z, z], 1), atol=1e-5)
    np.testing.assert_allclose(net.scores(logits).sum(1), np.ones(8), atol=1e-6)
    assert net.num_classes == 2


def test_a_score_of_ones_own():
    net = network(plain_features, plain_head, MEAN, STD, score=lambda logits: jax.nn.softmax(logits / 2), size=16)
    np.testing.assert_allclose(
        net.scores(net(IMAGES)), jax.nn.softmax(plain_head(plain_features(IMAGES)) / 2), atol=1e-6
    )
    with pytest.raises(InputError, match="expected as many scores"):
        network(plain_features, plain_head, MEAN, STD, score=lambda logits: logits[0], size=16).scores(jnp.ones((1, 5)))


def test_images_of_five_channels():
    net = network(lambda x: x[:, ::4, ::4], lambda x: x.mean((1, 2)), (0.5,) * 5, (0.2,) * 5, size=8)
    assert net.features(jnp.ones((2, 8, 12, 5)))["feature_map"].shape == (2, 2, 3, 5)
    assert net.num_classes == 5


GOOD = {"features": plain_features, "head": plain_head, "mean": MEAN, "std": STD, "size": 16}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features": lambda x: None}, r"features of network returns 'feature_map': NoneType .*: expected a map"),
        ({"features": lambda x: {}}, "features of network returns no maps"),
        ({"features": lambda x: {0: x}}, "returns 0: .* expected a name"),
        ({"features": lambda x: [x, x]}, "returns 'feature_map': list"),
        ({"features": lambda x: x[0]}, r"float32 \(16, 16, 3\) for images \(2, 16, 16, 3\): .*tokens.reshape"),
        ({"features": lambda x: x[:1]}, r"float32 \(1, 16, 16, 3\) .* B = 2"),
        ({"features": lambda x: x.astype(int)}, "int32 .* of floats"),
        (
            {"features": lambda x: x @ jnp.ones((7, 2))},
            r"features of network fails on arrays \(2, 16, 16, 3\) \(TypeError",
        ),
        ({"head": lambda found: found["bodi"]}, "head of network fails on arrays .*KeyError: 'bodi'"),
        (
            {"head": lambda found: found["body"]},
            r"head of network returns float32 \(2, 2, 2, 32\) for 2 images: expected",
        ),
        ({"head": lambda found: (plain_head(found), ())}, "head of network returns tuple"),
        ({"head": lambda found: plain_head(found).argmax(-1, keepdims=True)}, "int32 .* expected logits, floats"),
        ({"head": lambda found: jnp.ones((2, 5))}, "head of network reads none of stem, body"),
        ({"std": (0.2, 0.2)}, "mean has 3 numbers, std 2"),
        ({"std": (0.2, 0.2, 0)}, "std is .* above 0"),
        ({"mean": 0.5}, "expected a number for each channel"),
        ({"mean": (), "std": ()}, "mean has 0 numbers"),
        ({"mean": (np.nan,) * 3}, "finite"),
        ({"targets": ["stage4"]}, "unknown target of network: 'stage4'"),
        ({"targets": ["stem"]}, "targets name 'stem', which head of network does not read"),
        ({"targets": "body"}, "in a list"),
        ({"score": "softmix"}, "unknown score 'softmix'. Did you mean 'softmax'"),
        ({"class_names": ["a"]}, "class_names are 1: expected the names of 5 classes"),
        ({"size": 0}, "size is 0"),
    ],
)
def test_mistakes_are_named(change, said):
    assert isinstance(network(**GOOD), FunctionalNetwork)
    with pytest.raises(InputError, match=said):
        network(**GOOD | change)


def test_a_head_whose_maps_changed():
    net = of_plain()[0]
    with pytest.raises(InputError, match="features of network fails on arrays"):
        net.features(jnp.ones((2, 16, 16, 4)))
