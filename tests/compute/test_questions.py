"""Questions: any chunk size gives the same answers, the same question is asked once, and none is asked in vain."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.compute.questions import Panel, Question, Search, converse, even_chunk

B, Q, K = 3, 2, 5
COLUMNS = jnp.asarray([[0, 4], [1, 3], [2, 2]])
READOUT = jnp.asarray(np.random.default_rng(0).standard_normal((12, K)), jnp.float32)


def score_fn(images: jax.Array) -> jax.Array:
    return images.reshape(len(images), -1) @ READOUT  # [n K]


def draw(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 2, 2, 3)).astype(np.float32)


def scores_of(images: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return the answer to a question, one image after the other."""
    scores = images.reshape(len(images), -1) @ np.asarray(READOUT)
    return np.take_along_axis(scores, np.asarray(COLUMNS)[of], axis=1)


def question(key, images: np.ndarray, of: np.ndarray, share="map", live=None) -> Question:
    values, places = jnp.asarray(images), jnp.asarray(of)
    return Question(key, lambda i: values[i], len(values), share, lambda i: places[i], live)


def ask(*rounds):
    """Lead a conversation that asks in rounds, and returns all answers."""
    answers = []
    for questions in rounds:
        answers += list((yield questions))
    return answers


class Watched:
    """A score function that notes the images of every call."""

    def __init__(self):
        self.calls: list[np.ndarray] = []

    def __call__(self, images: jax.Array) -> jax.Array:
        if isinstance(images, jax.core.Tracer):
            jax.debug.callback(lambda seen: self.calls.append(np.asarray(seen)), images, ordered=True)
        return score_fn(images)

    def sizes(self) -> list[int]:
        jax.effects_barrier()
        return [len(images) for images in self.calls]


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 12, 100])
def test_any_chunk_size_gives_the_same_answers(chunk):
    """Of all kinds at once, whatever chunks hold of two of them."""
    of_maps, of_images, shared = draw(7, 0), draw(B, 1), draw(2, 2)
    maps = np.asarray([0, 1, 2, 0, 0, 1, 2])
    live = np.asarray([True, False, True])

    def run():
        asked = [
            question("map", of_maps, maps),
            question("live", of_images, np.arange(B), "image", jnp.asarray(live)),
            question("shared", shared, np.zeros(2, int), "batch"),
        ]
        return converse({"all": ask(asked)}, Panel(score_fn, COLUMNS, chunk))[0]["all"]

    found_maps, found_live, found_shared = jax.jit(run)()
    np.testing.assert_allclose(found_maps, scores_of(of_maps, maps), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found_live[live], scores_of(of_images, np.arange(B))[live], rtol=1e-5, atol=1e-5)
    assert found_shared.shape == (2, B, Q)
    for i, image in enumerate(shared):
        expected = scores_of(np.stack([image] * B), np.arange(B))
        np.testing.assert_allclose(found_shared[i], expected, rtol=1e-5, atol=1e-5)


def test_the_same_question_is_asked_once():
    """Of two conversations, and of one that is over when the other one asks; one of maps only while it is open."""
    watched = Watched()
    images, ends = draw(4, 0), draw(1, 1)
    blank = question("blank", ends, np.zeros(1, int), "batch")
    own = question("own", images, np.zeros(4, int))
    talks = {"first": ask([own, blank]), "second": ask([replace(own)], [replace(blank)]), "third": "no question"}
    results, asked = converse(talks, Panel(watched, COLUMNS, chunk=5))
    assert watched.sizes() == [5]
    assert [one.question.key for one in asked] == ["own", "blank"]
    assert list(results) == ["first", "second", "third"]
    assert results["third"] == "no question"
    for one, other in zip(results["first"], results["second"]):
        np.testing.assert_array_equal(one, other)


def test_what_is_known_is_not_asked_again():
    watched = Watched()
    blank = question("blank", draw(1, 1), np.zeros(1, int), "batch")
    own = question("own", draw(4, 0), np.zeros(4, int))
    panel = Panel(watched, COLUMNS, chunk=8)
    before, _ = converse({"one": ask([blank, own])}, panel)
    assert set(panel.known) == {"blank"}  # other maps have other answers
    after, asked = converse({"two": ask([blank])}, panel)
    assert watched.sizes() == [5]
    assert asked == []
    np.testing.assert_array_equal(before["one"][0], after["two"][0])


@pytest.mark.parametrize(("live", "calls"), [(0, 1), (1, 1), (2, 2), (5, 3), (8, 4), (10, 4)])
def test_only_the_live_ones_are_asked_packed(live, calls):
    """Behind the two that must be asked, three at a time."""
    watched = Watched()
    images, places = draw(10, 0), np.arange(10) % B
    is_live = np.isin(np.arange(10), np.random.default_rng(live).permutation(10)[:live])
    channels = question("channels", images, places, "image", jnp.asarray(is_live))
    must = question("must", draw(2, 1), np.zeros(2, int))
    results, asked = converse({"": ask([channels, must])}, Panel(watched, COLUMNS, chunk=3))
    sizes = watched.sizes()
    assert len(sizes) == calls
    assert set(sizes) == {3}
    found, _ = results[""]
    np.testing.assert_allclose(found[is_live], scores_of(images, places)[is_live], rtol=1e-5, atol=1e-5)
    numbers = {one.question.key: one.number for one in asked}
    assert numbers["must"] is None
    np.testing.assert_array_equal(numbers["channels"], np.bincount(places[is_live], minlength=B))


def test_nothing_is_asked_of_nobody():
    assert converse({}, Panel(score_fn, COLUMNS, 4)) == ({}, [])


def test_a_search_asks_for_itself():
    images = jnp.asarray(draw(B, 0))

    def run(ask_now, chunk):
        return ask_now(images[:chunk], jnp.arange(chunk)), jnp.ones(B, jnp.int32), jnp.zeros(B, jnp.int32)

    found, asked = converse({"": ask([Search("search", run, most=1)])}, Panel(score_fn, COLUMNS, chunk=2))
    np.testing.assert_allclose(found[""][0], scores_of(np.asarray(images[:2]), np.arange(2)), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(asked[0].number, 1)


def test_someone_is_told_of_each_chunk():
    told = []
    panel = Panel(score_fn, COLUMNS, chunk=2, tell=lambda done, of: told.append((int(done), int(of))))
    converse({"": ask([question("own", draw(6, 0), np.zeros(6, int))])}, panel)
    jax.effects_barrier()
    assert sorted(told) == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("size", "chunk", "length"), [(33, 16, 11), (27, 16, 9), (10, 4, 2), (11, 4, 4), (3, 2, 1), (3, 100, 3)]
)
def test_chunks_are_equal_and_little_is_padded(size, chunk, length):
    watched = Watched()
    images = draw(size, 0)
    converse({"": ask([question("own", images, np.zeros(size, int))])}, Panel(watched, COLUMNS, chunk))
    assert watched.sizes() == [length] * -(-size // length)
    np.testing.assert_array_equal(np.concatenate(watched.calls)[:size], images)


def test_chunks_are_no_less_than_half_of_what_fits():
    for size in range(1, 200):
        for chunk in range(1, 40):
            even = even_chunk(size, chunk)
            assert even <= chunk
            assert -(-size // even) <= 2 * -(-size // chunk)
            assert -size % even <= -size % -(-size // -(-size // chunk))  # no more than with the fewest chunks


def test_the_network_is_traced_once_whatever_the_number_of_questions():
    def count(questions: int, size: int) -> int:
        traced = []

        def counted(images: jax.Array) -> jax.Array:
            traced.append(images.shape)
            return score_fn(images)

        def run():
            asked = [question(i, draw(size, i), np.zeros(size, int)) for i in range(questions)]
            return converse({"": ask(asked)}, Panel(counted, COLUMNS, 2))[0][""]

        jax.make_jaxpr(run)()
        return len(traced)

    assert count(1, 4) == count(5, 40) <= 2  # once for its shape
