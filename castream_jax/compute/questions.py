"""One stream of questions: images that are made from images, shown to a network, and the scores that it gives them.

Whatever perturbs an image and asks again says so as a `Question`. All questions of a round are packed into full chunks
of one static shape, so the network stands in the compiled program once, and those with the same key are asked once.

A conversation is a generator: it yields a list of questions, gets the list of their answers, may ask more, and returns
what it found. So a metric reads from top to bottom, and still shares its passes with all others.
"""

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from castream_jax.errors import InputError

ScoreFunction = Callable[[Float[Array, "n H W C"]], Float[Array, "n K"]]
"""From normalised images to the scores of all classes, of all networks side by side."""


@dataclass(frozen=True)
class Question:
    """Images to show to the network."""

    key: Hashable
    """What tells it from others: questions of one round with the same key are the same."""
    make: Callable[[Int[Array, "n"]], Float[Array, "n H W C"]]
    """From places among its `count` to normalised images."""
    count: int
    """Images, all in all."""
    share: Literal["map", "image", "batch"]
    """What has images of its own: each map, each image whatever its maps, or nothing: the same serve the batch."""
    of: Callable[[Int[Array, "n"]], Int[Array, "n"]] = jnp.zeros_like
    """From places to the images of the batch whose columns of the scores are the answer; unused for a whole batch."""
    live: Bool[Array, "count"] | None = None
    """Which of them must be asked; the others' answers are undefined. None: all."""
    logits: bool = False
    """The answer is the logits that the scores are made of."""


@dataclass(frozen=True)
class Search:
    """Questions whose answers decide what is asked next, inside of one compiled loop."""

    key: Hashable
    run: Callable[["Ask", int], tuple[Any, Int[Array, "B"], Int[Array, "B"]]]
    """From how to ask, and how many images at once, to what was found, how many of each image's were asked, and how
    many were needless because their answers are known."""
    most: int
    """Images that it asks for one image of the batch, at most."""
    share: ClassVar[Literal["image"]] = "image"


class Made(NamedTuple):
    """Maps that were made again."""

    maps: Float[Array, "B H W"]
    """In [0, 1], at the images' size."""
    sums: Float[Array, "B H W"]
    """Before ReLU and min-max, at the images' size."""


@dataclass(frozen=True)
class Again:
    """Maps like the J that are measured, each by the method and for the network that one of these is of."""

    key: Hashable
    judge: Callable[[Made, Int[Array, "B"]], Float[Array, "B"]]
    """From maps, and which of the J each is like, to what is asked of each."""
    make: Callable[[Int[Array, ""], Int[Array, "B"]], Float[Array, "B H W C"]] | None = None
    """From the number of a turn, and places of maps, or of images where they share, to normalised images; None: maps of
    the images that are measured."""
    turns: int = 1
    share: Literal["map", "image"] = "map"
    """What has images of its own: each map, or each image whatever its maps."""
    other_class: int | None = None
    """The seed by which another class of the network is drawn for each image; None: of the class that is measured."""
    networks: Literal["own", "cascade", "ends of the cascade"] = "own"
    """By which network each turn's maps are made: that which is measured, or first that one, and then those whose
    weights are drawn again from the classifier down, part by part or all at once. Whoever answers knows how many turns
    these are."""


class Asked(NamedTuple):
    """One question, its answer, and what it cost."""

    question: Question | Search | Again
    number: Int[Array, "B"] | None
    """Images that were asked for each image of the batch; None: all that the question has."""
    needless: Int[Array, "B"] | None
    """Those whose answers are known; None: all that were not asked."""
    answer: Any
    each: int = 0
    """Of maps that were made again: images that were shown to the network for each image of the batch."""


Ask = Callable[[Float[Array, "n H W C"], Int[Array, "n"]], Float[Array, "n Q"]]
"""From images, and which image of the batch each is made of, to the scores of that one's columns."""
Answer = Any
"""[count Q], [count B Q] where the batch shares a question, what a search found, or [turns J] of maps made again,
NaN where nobody can make them."""
Conversation = Generator[Sequence[Question | Search | Again], Sequence[Answer], Any]


@dataclass(frozen=True)
class Panel:
    """Who answers."""

    score_fn: ScoreFunction
    columns: Int[Array, "B Q"]
    """Of its scores, those that are asked for, by image of the batch."""
    chunk: int
    """Images in one forward pass."""
    tell: Callable[[Any, Any], None] | None = None
    """Told, on the host, how many chunks of a round are done, and of how many; None: nobody waits for it."""
    known: dict[Hashable, "Answer"] = field(default_factory=dict)
    """Answers that no map is in, by key: they are not asked for again."""
    explain: Callable[[Again], tuple[Float[Array, "turns J"], int]] | None = None
    """Makes maps again, and says how many images it showed for each image of the batch; None: nobody can."""
    logits_from: int | None = None
    """The column of the scores from which the logits follow, in the same order; None: they do not."""

    def ask(self, images: Float[Array, "n H W C"], of: Int[Array, "n"]) -> Float[Array, "n Q"]:
        """Return the scores of some images, whose columns are those of the images that they are made of."""
        return jnp.take_along_axis(self.score_fn(images), self.columns[of], axis=1)

    def columns_of(self, question: Question) -> Int[Array, "B Q"]:
        """Return the columns that a question asks for; `InputError` for logits, where there are none."""
        if question.logits and self.logits_from is None:
            raise InputError("a method asks for logits, and here there are scores alone.")
        return self.columns + (self.logits_from or 0) * question.logits


def converse(conversations: Mapping[Any, Any], panel: Panel) -> tuple[dict[Any, Any], list[Asked]]:
    """Lead conversations side by side, and return what each found, by key, and what was asked.

    An answer is [count Q], or [count B Q] where the batch shares a question.

    Args:
      conversations: generators as `Conversation`; anything else needs no answers and is its own result.
      panel: who answers, and remembers what serves other maps too.
    """
    results: dict[Any, Any] = {}
    waiting: dict[Any, tuple[Conversation, Sequence[Question | Search | Again]]] = {}

    def go_on(key: Any, conversation: Conversation, answers: Sequence[Answer] | None) -> None:
        try:
            waiting[key] = conversation, next(conversation) if answers is None else conversation.send(answers)
        except StopIteration as end:
            waiting.pop(key, None)
            results[key] = end.value

    for key, conversation in conversations.items():
        if isinstance(conversation, Generator):
            go_on(key, conversation, None)
        else:
            results[key] = conversation
    asked: list[Asked] = []
    while waiting:
        unique = {question.key: question for _, questions in waiting.values() for question in questions}
        new = [question for key, question in unique.items() if key not in panel.known]
        answers = answer([question for question in new if isinstance(question, Question)], panel)
        for question in new:
            each = 0
            number, needless = (_number(question, panel), None) if isinstance(question, Question) else (None, None)
            if isinstance(question, Search):
                answers[question.key], number, needless = question.run(panel.ask, panel.chunk)
            elif isinstance(question, Again):
                answers[question.key], each = explain_again(question, panel)
            asked.append(Asked(question, number, needless, answers[question.key], each))
        panel.known.update({q.key: answers[q.key] for q in new if isinstance(q, Question) and q.share != "map"})
        for key, (conversation, questions) in list(waiting.items()):
            go_on(key, conversation, [(panel.known | answers)[question.key] for question in questions])
    return {key: results[key] for key in conversations}, asked


def explain_again(question: Again, panel: Panel) -> tuple[Float[Array, "turns J"], int]:
    """Return what a request is answered, and how many images were shown to the network for each image of the batch."""
    if panel.explain is None:
        raise InputError("a metric asks for maps of other images, and here nobody knows how the maps were made.")
    return panel.explain(question)


def _number(question: Question, panel: Panel) -> Int[Array, "B"] | None:
    """Return how many images of a question are made of each image of the batch; None: all that it has."""
    if question.live is None:
        return None
    places = question.of(jnp.arange(question.count))
    return jnp.zeros(len(panel.columns), jnp.int32).at[places].add(question.live.astype(jnp.int32))


def answer(questions: Sequence[Question], panel: Panel) -> dict[Hashable, Float[Array, "..."]]:
    """Ask questions in one loop over full chunks, and return the answers by key.

    First what the whole batch shares, then what must be asked, last what may turn out to be needless: of that only the
    live images are asked, packed.
    """
    if not questions:
        return {}
    rank = {"batch": 0, "image": 1, "map": 1}
    ordered = sorted(questions, key=lambda question: (question.live is not None, rank[question.share]))
    starts = np.cumsum([0, *(question.count for question in ordered)])
    total = int(starts[-1])
    first_live = next((i for i, question in enumerate(ordered) if question.live is not None), len(ordered))
    fixed = int(starts[first_live])
    shared = sum(question.count for question in ordered if question.share == "batch")
    chunk = even_chunk(total, panel.chunk) if fixed == total else min(panel.chunk, total)
    chunks = -(-total // chunk)
    order: Array = jnp.arange(total, dtype=jnp.int32)
    wanted: Any = total
    if fixed < total:
        live = jnp.concatenate([jnp.ones(fixed, bool), *(q.live for q in ordered[first_live:] if q.live is not None)])
        order, wanted = jnp.argsort(~live, stable=True).astype(jnp.int32), live.sum()
    asked_for = {question.logits: panel.columns_of(question) for question in ordered}
    columns, width = jnp.concatenate([asked_for[kind] for kind in sorted(asked_for)], axis=1), panel.columns.shape[1]
    kinds = _kinds_of_chunks(starts, first_live, chunk, chunks)
    makers = list(dict.fromkeys(kinds))
    which = jnp.asarray([makers.index(kind) for kind in kinds])
    branches = [_maker([(ordered[k], int(starts[k])) for k in range(*maker)]) for maker in makers]

    def fill(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        rows, whole = state
        places = order[jnp.minimum(i * chunk + jnp.arange(chunk, dtype=jnp.int32), total - 1)]
        images, of = lax.switch(which[i], branches, places) if len(branches) > 1 else branches[0](places)
        scores = panel.score_fn(images)
        found = jnp.take_along_axis(scores, columns[of], axis=1)  # [chunk Q], with logits beside them [chunk 2Q]
        if panel.tell is not None:
            jax.debug.callback(panel.tell, i + 1, -(-wanted // chunk))
        for place in range(shared):
            kept = jnp.where(i == place // chunk, scores[place % chunk], whole[place])
            whole = whole.at[place].set(kept)
        return lax.dynamic_update_slice_in_dim(rows, found, i * chunk, axis=0), whole

    image = jax.eval_shape(branches[0], jax.ShapeDtypeStruct((chunk,), jnp.int32))[0]
    scores = jax.eval_shape(panel.score_fn, image)
    rows = jnp.zeros((chunks * chunk, columns.shape[1]), scores.dtype)
    whole = jnp.zeros((shared, scores.shape[1]), scores.dtype)
    rows, whole = lax.fori_loop(0, -(-wanted // chunk), fill, (rows, whole))
    rows = rows[:total]
    if fixed < total:
        rows = jnp.zeros_like(rows).at[order].set(rows, unique_indices=True)
    answers: dict[Hashable, Array] = {}
    for question, start in zip(ordered, starts):
        own = slice(int(start), int(start) + question.count)
        if question.share == "batch":
            answers[question.key] = whole[own][:, asked_for[question.logits]]
        else:
            answers[question.key] = rows[own, -width:] if question.logits else rows[own, :width]
    return answers


def _kinds_of_chunks(starts: np.ndarray, first_live: int, chunk: int, chunks: int) -> list[tuple[int, int]]:
    """Return which questions, from one to before another, each chunk may hold; live ones stand in any order."""
    kinds = []
    for i in range(chunks):
        first = int(np.searchsorted(starts, i * chunk, side="right")) - 1
        last = int(np.searchsorted(starts, min((i + 1) * chunk, int(starts[-1])), side="left"))
        kinds.append((min(first, first_live), len(starts) - 1 if last > first_live else last))
    return kinds


def _maker(members: Sequence[tuple[Question, int]]) -> Callable[[Array], tuple[Array, Array]]:
    """Return the function from places in the stream, all of these questions, to images and what they are made of."""

    def make(places: Int[Array, "n"]) -> tuple[Float[Array, "n H W C"], Int[Array, "n"]]:
        def one(question: Question, start: int) -> tuple[Array, Array]:
            own = jnp.clip(places - start, 0, question.count - 1)
            return question.make(own), question.of(own)

        images, of = one(*members[0])
        for question, start in members[1:]:
            made, source = one(question, start)
            here = places >= start
            images, of = jnp.where(here[:, None, None, None], made, images), jnp.where(here, source, of)
        return images, of

    return make


def even_chunk(size: int, chunk: int) -> int:
    """Return the size of the equal chunks that hold `size` indices with the least to pad.

    Chunks have at most `chunk` indices, and there are at most twice as many as there must be: fewer come first.
    """
    fewest = -(-size // chunk)
    return min((-(-size // chunks) for chunks in range(fewest, 2 * fewest + 1)), key=lambda even: -size % even)
