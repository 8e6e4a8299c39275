"""The modules that poolings put into a network."""

import dataclasses

import jax
import pytest
from flax import nnx

from castream_jax import InputError, create_model
from castream_jax.poolings import POOLINGS
from castream_jax.poolings.choosing import choose_poolings, keep_as_created
from castream_jax.poolings.pooling import Pooling
from tests.poolings.plain import draw


class Listed(nnx.Module):
    """A layer, and a parameter in a list."""

    def __init__(self) -> None:
        self.layer = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
        self.gains = nnx.List([nnx.Param(draw(1, 3))])

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layer(x) * self.gains[0][...]


def test_what_is_kept_has_no_parameters_and_computes_the_same():
    holder = Listed()
    x = draw(2, 4)
    before, arrays = holder(x), len(jax.tree.leaves(nnx.state(holder)))
    kept = keep_as_created(holder)
    assert not jax.tree.leaves(nnx.state(kept, nnx.Param))
    assert len(jax.tree.leaves(nnx.state(kept))) == arrays
    assert (kept(x) == before).all()


@pytest.mark.parametrize(
    ("pooling", "message"),
    [
        ("gem(taps=stage3+stage4)", "names 2 taps: gem reads one"),
        ("gem(taps=stage3)", "gives 64 channels where the classifier takes 128"),
        ("simpool(taps=stage3)", "gives 64 channels where the classifier takes 128"),
        ("class_attention(taps=stage3)", "gives 64 channels where the classifier takes 128"),
        ("ca(taps=stage9)", "reads 'stage9': expected feature maps among"),
        ("ca(width=-8, keys_values=learned)", "width is -8"),
        ("class_attention(mlp_ratio=inf)", "mlp_ratio is inf"),
    ],
)
def test_taps_and_numbers_that_do_not_suit_are_told(pooling, message):
    with pytest.raises(InputError, match=message):
        create_model("resnet18_small", pooling, num_classes=10)


@pytest.mark.parametrize("pooling", ["ca(taps=stage3)", "ep(taps=stage3)", "simpool(taps=stage3, project=true)"])
def test_a_pooling_that_projects_reads_any_map(pooling):
    model = create_model("resnet18_small", pooling, num_classes=10)
    assert model(draw(1, 32, 32, 3)).shape == (1, 10)


@pytest.mark.parametrize("key", ["head", "features", "name", "backbone"])
def test_a_pooling_hides_nothing_of_a_network(key, monkeypatch):
    record: Pooling = dataclasses.replace(POOLINGS["gem"], key=key)
    monkeypatch.setitem(POOLINGS, key, record)
    with pytest.raises(InputError, match="would (hide|bear the name)"):
        create_model("resnet18_small", key, num_classes=10)


def test_a_key_of_ones_own_may_have_any_letters(monkeypatch):
    monkeypatch.setitem(POOLINGS, "my.pool-2", dataclasses.replace(POOLINGS["gem"], key="my.pool-2"))
    assert [choice.part for choice in choose_poolings("my.pool-2, ca")] == ["my_pool_2", "stream"]
