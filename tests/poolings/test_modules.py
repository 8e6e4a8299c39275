"""Each pooling against its authors' equations, one image and one head at a time in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError
from castream_jax.poolings import POOLINGS
from castream_jax.poolings.class_attention import ClassAttention
from castream_jax.poolings.efficient_probing import EfficientProbing
from castream_jax.poolings.generalised_mean import GeneralisedMean
from castream_jax.poolings.maximum import Maximum
from castream_jax.poolings.pooling import Repooling
from castream_jax.poolings.simpool import SimPool
from castream_jax.poolings.stream_variant import StreamVariant
from tests.goldens import assert_close
from tests.poolings.plain import apply_linear, attend, draw, gelu, normalise, numbers, shake, site

CREATED = [record for record in POOLINGS.values() if record.create is not None]


def created(record, widths=(6, 8), **chosen):
    options = dict(record.options) | ({"queries": 4} if record.key == "ep" else {}) | chosen
    return record.create(site(widths if record.reads == "all" else widths[-1:]), **options)


@pytest.mark.parametrize("record", CREATED, ids=lambda record: record.key)
def test_what_a_record_says_of_its_module_is_so(record):
    module = created(record)
    maps = [draw(3, 5, 4, 6), draw(3, 3, 2, 8, seed=1)]
    pooled, attention = module(maps if record.reads == "all" else maps[-1:])
    assert pooled.shape == (3, 8)
    assert pooled.dtype == jnp.float32
    assert bool(attention) == record.has_attention
    assert bool(jax.tree.leaves(nnx.state(module, nnx.Param))) == bool(record.trains)
    for each in attention:
        assert float(each.min()) >= 0
        assert float(each.sum((-2, -1)).max()) <= 1 + 1e-6
    assert record.meaning.endswith(".")
    assert record.source


@pytest.mark.parametrize("record", CREATED, ids=lambda record: record.key)
def test_an_image_is_pooled_alike_whatever_stands_beside_it(record):
    module = created(record)
    shake(module)
    maps = [draw(3, 5, 4, 6), 3 * draw(3, 3, 2, 8, seed=1)]
    maps = maps if record.reads == "all" else maps[-1:]
    alone = module([each[1:2] for each in maps])[0]
    assert_close(module(maps)[0][1:2], alone, relative=1e-5)


@pytest.mark.parametrize(
    "record", [record for record in CREATED if record.has_attention], ids=lambda record: record.key
)
def test_the_own_attention_pools_what_the_pooling_gives(record):
    module = created(record)
    shake(module)
    maps = [draw(3, 5, 4, 6), draw(3, 3, 2, 8, seed=1)]
    maps = maps if record.reads == "all" else maps[-1:]
    pooled, attention = module(maps)
    assert isinstance(module, Repooling)
    assert_close(module.repool(attention[-1], maps[-1]), pooled, relative=1e-5)
    heads = attention[-1].shape[1]
    assert module.values(maps[-1]).shape[-1] % heads == 0


@pytest.mark.parametrize(("gamma", "heads"), [(2.0, 1), (1.25, 2), (0.0, 4)])
def test_simpool(gamma, heads):
    module = SimPool(site((8,)), gamma, heads, project=False)
    shake(module)
    feature_map = draw(2, 3, 5, 8)
    pooled, attention = module([feature_map])
    x = np.asarray(feature_map, np.float64).reshape(2, 15, 8)
    for image in range(2):
        query = x[image].mean(0) @ numbers(module.query)
        values = normalise(module.norm, x[image])
        keys = values @ numbers(module.key)
        for head in range(heads):
            own = slice(8 * head // heads, 8 * (head + 1) // heads)
            weights = attend(query[own], keys[:, own], math.sqrt(8 / heads))
            assert_close(attention[0][image, head].reshape(-1), weights, relative=1e-5)
            if gamma:
                powers = (values[:, own] - values.min() + 1e-6) ** gamma
                expected = (weights @ powers) ** (1 / gamma)
            else:
                expected = weights @ values[:, own]
            assert_close(pooled[image, own], expected, relative=1e-5)


def test_simpool_may_meet_the_classifier_by_a_projection():
    module = SimPool(site((8,)), 2.0, 1, project=True)
    plain = SimPool(site((8,)), 2.0, 1, project=False)
    feature_map = draw(2, 3, 5, 8)
    expected = apply_linear(module.project, np.asarray(plain([feature_map])[0], np.float64))
    assert_close(module([feature_map])[0], expected, relative=1e-5)


@pytest.mark.parametrize("p", [1.0, 3.0, 12.5])
def test_gem(p):
    module = GeneralisedMean(site((8,)), p)
    feature_map = draw(2, 3, 5, 8)
    x = np.maximum(np.asarray(feature_map, np.float64), 1e-6)
    assert_close(module([feature_map])[0], (x**p).mean((1, 2)) ** (1 / p), relative=1e-5)


def test_gem_of_large_values_overflows_at_no_exponent():
    module = GeneralisedMean(site((8,)), 200.0)
    feature_map = 1e4 * jnp.abs(draw(2, 3, 5, 8))
    found = np.asarray(module([feature_map])[0])
    largest = np.asarray(feature_map).max((1, 2))
    assert np.isfinite(found).all()
    assert (found <= largest * (1 + 1e-5)).all()
    assert (found >= largest * 15 ** (-1 / 200) * (1 - 1e-5)).all()


def test_max():
    feature_map = draw(2, 3, 5, 8)
    np.testing.assert_array_equal(Maximum(site((8,)))([feature_map])[0], np.asarray(feature_map).max((1, 2)))


def test_efficient_probing():
    module = EfficientProbing(site((6,), features=8), 4, "reference")
    shake(module)
    feature_map = draw(2, 3, 5, 6)
    pooled, attention = module([feature_map])
    x = np.asarray(feature_map, np.float64).reshape(2, 15, 6)
    for image in range(2):
        values = x[image] @ numbers(module.value)
        for number, query in enumerate(numbers(module.queries)):
            weights = attend(query, x[image], math.sqrt(6))
            assert_close(attention[0][image, number].reshape(-1), weights, relative=1e-5)
            own = slice(2 * number, 2 * number + 2)
            assert_close(pooled[image, own], weights @ values[:, own], relative=1e-5)


@pytest.mark.parametrize("key", ["ca", "single", "ep"])
def test_from_the_identity_a_pooling_begins_near_the_mean(key):
    module = created(POOLINGS[key], stream_init="identity")
    feature_map = draw(2, 3, 5, 8)
    maps = [draw(2, 5, 4, 6), feature_map] if key == "ca" else [feature_map]
    assert_close(module(maps)[0], np.asarray(feature_map).mean((1, 2)), absolute=0.05 if key == "ep" else 1e-6)
    chosen = {"stream_init": "identity"} | ({"queries": 4} if key == "ep" else {})
    with pytest.raises(InputError, match="the last tap has 6 channels where the classifier takes 8"):
        POOLINGS[key].create(site((6,), features=8), **dict(POOLINGS[key].options) | chosen)


@pytest.mark.parametrize("heads", [1, 2])
def test_class_attention(heads):
    module = ClassAttention(site((8,)), heads, mlp_ratio=3.0, gain=1e-4)
    shake(module)
    feature_map = draw(2, 3, 5, 8)
    pooled, attention = module([feature_map])
    x = np.asarray(feature_map, np.float64).reshape(2, 15, 8)
    token = numbers(module.token)
    for image in range(2):
        seen = normalise(module.norms[0], np.concatenate([token[None], x[image]]))
        query, keys, values = (apply_linear(layer, seen) for layer in (module.query, module.key, module.value))
        attended = np.zeros(8)
        for head in range(heads):
            own = slice(8 * head // heads, 8 * (head + 1) // heads)
            weights = attend(query[0, own], keys[:, own], math.sqrt(8 / heads))
            attended[own] = weights @ values[:, own]
            assert_close(attention[0][image, head].reshape(-1), weights[1:], relative=1e-5)
        middle = token + numbers(module.gains)[0] * apply_linear(module.out, attended)
        hidden = gelu(apply_linear(module.expand, normalise(module.norms[1], middle)))
        last = middle + numbers(module.gains)[1] * apply_linear(module.project, hidden)
        assert_close(pooled[image], normalise(module.last_norm, last), relative=1e-5)


@pytest.mark.parametrize(
    ("heads", "learned", "feed_forward", "width"),
    [(1, True, False, 0), (2, True, True, 12), (1, False, True, 0), (2, True, False, 4)],
)
def test_stream_variants(heads, learned, feed_forward, width):
    module = StreamVariant(site((6, 8), features=10), heads, learned, feed_forward, width)
    shake(module)
    maps = [draw(2, 4, 5, 6), draw(2, 2, 3, 8, seed=1)]
    pooled, attention = module(maps)
    for image in range(2):
        query = numbers(module.query)
        for number, (feature_map, block) in enumerate(zip(maps, module.blocks, strict=True)):
            x = np.asarray(feature_map[image], np.float64).reshape(-1, feature_map.shape[-1])
            keys = apply_linear(block.key, x) if learned else x
            values = apply_linear(block.value, x) if learned else x
            channels = keys.shape[1]
            assert channels == (width or feature_map.shape[-1])
            gathered = np.zeros(channels)
            for head in range(heads):
                own = slice(channels * head // heads, channels * (head + 1) // heads)
                weights = attend(query[own], keys[:, own], math.sqrt(channels))
                gathered[own] = weights @ values[:, own]
                assert_close(attention[number][image, head].reshape(-1), weights, relative=1e-5)
            query = apply_linear(block.project, gathered)
            if feed_forward:
                query = apply_linear(block.reduce, gelu(apply_linear(block.expand, query)))
        assert_close(pooled[image], query, relative=1e-5)


@pytest.mark.parametrize(
    ("key", "chosen", "message"),
    [
        ("gem", {"p": 0.0}, "gem's p is 0: expected a number above 0"),
        ("simpool", {"gamma": -1.0}, "simpool's gamma is -1"),
        ("simpool", {"heads": 3}, "heads of simpool is 3: it must be at least 1 and divide the 8 channels"),
        ("ep", {"queries": 3}, "queries of ep is 3"),
        ("class_attention", {"heads": 5}, "heads of class_attention is 5"),
        ("class_attention", {"mlp_ratio": 0.0}, "class_attention's mlp_ratio is 0"),
        ("ca", {"width": 16}, "ca's width is 16, and its keys and values are the feature maps"),
        ("ca", {"keys_values": "mine"}, "unknown keys_values of ca 'mine'"),
        ("ca", {"keys_values": "learned", "stream_init": "identity"}, "stream_init is 'identity', which is a start"),
        ("ca", {"heads": 4}, "heads is 4"),
    ],
)
def test_what_makes_no_sense_is_refused(key, chosen, message):
    with pytest.raises(InputError, match=message):
        created(POOLINGS[key], **chosen)
