"""Pictures that somebody looks at, the network's answers to them, and their maps, each computed once."""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from castream_jax.attribution import METHODS
from castream_jax.attribution.method import Method
from castream_jax.binding.maps import MapKey, explained_keys
from castream_jax.config import Experiment
from castream_jax.data.pictures.decoding import Decoding
from castream_jax.errors import InputError, choose
from castream_jax.experiment.preprocessing import network_resize
from castream_jax.explanation.explainer import LISTED, Explained, Explainer, rank
from castream_jax.explanation.pictures import read_picture
from castream_jax.explanation.view import View, prepare
from castream_jax.models.network import Network

HEAD_ALONE, ASKING, THROUGH = 0.25, 1.6, 2.8
"""Of the seconds that a forward pass takes to compile, what a map takes that asks the network nothing, one that asks,
and one that runs through the trunk and back; as seen of EfficientNet-Lite0 on a CPU."""


SAVED = "/jax/compilation_cache/compile_time_saved_sec"
"""How JAX calls the seconds that it saved by reading what an earlier process compiled."""


@dataclass(frozen=True)
class Choice:
    """Which map is looked at."""

    method: str
    pooling: str
    label: int


@dataclass(frozen=True, eq=False)
class Opened:
    """A picture that somebody looks at."""

    number: int
    """Of all that were opened."""
    view: View
    probabilities: dict[str, Float[np.ndarray, "C"]]
    """Of each class, by pooling."""
    kept: dict[tuple[str, int], tuple[Explained, int]] = field(default_factory=dict)
    """By method and class, what was computed, and the class's place in it; every pooling is in it."""


@dataclass(frozen=True, eq=False)
class Found:
    """One map."""

    map: Float[np.ndarray, "h w"]
    """In 0..1."""
    remark: str
    """What is wrong with it, in words; empty where nothing is."""


class Viewer:
    """A network and all the maps that it has; each method is compiled once, for every pooling."""

    def __init__(self, model: Network, class_names: Sequence[str], experiment: Experiment):
        """Find out which maps the network has, of `ca.METHODS`.

        Args:
          model: the network.
          class_names: by label.
          experiment: says what maps start from, how many images go through the network at once, and how pictures are
            decoded.

        Raises:
          InputError: as `Explainer`.
        """
        self.model, self.class_names = model, tuple(class_names)
        self._target, self._chunk = experiment.evaluation.target or None, experiment.evaluation.chunk
        self._resize, self._decoding = network_resize(model), Decoding.of(experiment.data)
        known = tuple(method for method in METHODS.values() if method.sums is not None)
        self.keys: tuple[MapKey, ...] = explained_keys(model.poolings(), known)
        """Every map, by method and pooling."""
        self.methods: tuple[Method, ...] = tuple(m for m in known if any(m.key == key for key, _ in self.keys))
        self.poolings: tuple[str, ...] = tuple(model.poolings())
        self._explainers: dict[str, Explainer] = {}
        self._compiled: set[str] = set()
        self._numbers = itertools.count(1)
        self._compiling = 0.0

    def warm_up(self) -> None:
        """Compile the network's forward pass, and remember how long that takes on this machine."""
        size = self._resize.size
        saved: list[float] = []
        start = time.monotonic()
        with hearing(SAVED, saved.append):
            self._explainer(self.methods[0].key).see(View("", np.zeros((size, size, 3), np.uint8), 1.0))
        self._compiling = time.monotonic() - start + max(0.0, math.fsum(saved))

    def open(self, path: Path, name: str) -> Opened:
        """Return a file's picture, and the network's answers to it.

        Raises:
          InputError: no picture, one that is damaged, or too large.
        """
        picture = read_picture(path, self._decoding, name)
        view = prepare(name, picture.image, self._resize)
        return Opened(next(self._numbers), view, self._explainer(self.methods[0].key).see(view).probabilities)

    def poolings_of(self, method: str) -> list[str]:
        """Return the poolings under which the network has a method's map."""
        return [pooling for key, pooling in self.keys if key == method]

    def check(self, choice: Choice) -> None:
        """Raise `InputError` for a map that the network has not."""
        choose("method", choice.method, [method.key for method in self.methods])
        choose(f"pooling of {choice.method}", choice.pooling, self.poolings_of(choice.method))
        if not 0 <= choice.label < len(self.class_names):
            raise InputError(f"class {choice.label}: expected a label from 0 to {len(self.class_names) - 1}.")

    def kept(self, opened: Opened, choice: Choice) -> Found | None:
        """Return a map if it has been computed."""
        self.check(choice)
        if (computed := opened.kept.get(self._place(choice))) is None:
            return None
        explained, k = computed
        key = (choice.method, choice.pooling)
        return Found(explained.maps[key][k], explained.remark(key, k))

    def compute(self, opened: Opened, choice: Choice, advance: Callable[[float], object] = lambda _: None) -> Found:
        """Return a map, and keep it, those of the other poolings, and those of the most probable classes.

        All of them share the passes that the map needs, so that they come with it; of a method that runs through the
        trunk for every map, its class comes alone.

        Args:
          opened: the picture.
          choice: the map.
          advance: told of each share of the work that is done.

        Raises:
          InputError: a map that the network has not.
        """
        if (found := self.kept(opened, choice)) is not None:
            return found
        others = [label for label in rank(opened.probabilities)[:LISTED] if label != choice.label]
        count = 1 if METHODS[choice.method].through_trunk else min(LISTED, len(self.class_names))
        classes = (choice.label, *others)[:count]  # always as many: compiled once
        explained = self._explainer(choice.method).explain(opened.view, classes, advance)
        self._compiled.add(choice.method)
        for k, label in enumerate(classes):
            place = self._place(Choice(choice.method, choice.pooling, label))
            opened.kept.setdefault(place, (explained, k))
        found = self.kept(opened, choice)
        assert found is not None
        return found

    def expect_to_compile(self, method: str) -> float:
        """Return the seconds that a method will about take to compile, 0.0 if it is compiled.

        One that asks the network has its forward pass inside, and is compiled at every start, for JAX keeps no program
        that tells its progress; the others have what comes after the features.
        """
        if method in self._compiled:
            return 0.0
        record = METHODS[method]
        return self._compiling * (THROUGH if record.through_trunk else ASKING if record.ask is not None else HEAD_ALONE)

    def _place(self, choice: Choice) -> tuple[str, int]:
        """Return where a map is kept: one that belongs to no class, once."""
        return choice.method, choice.label if METHODS[choice.method].has_classes else -1

    def _explainer(self, method: str) -> Explainer:
        """Return who computes a method's maps, always the same: it remembers what is compiled."""
        if method not in self._explainers:
            self._explainers[method] = Explainer(self.model, (method,), self._target, self._chunk, tells=True)
        return self._explainers[method]


@contextlib.contextmanager
def hearing(name: str, listen: Callable[[float], object]) -> Iterator[None]:
    """Hand on the seconds that JAX reports under a name while what is inside runs."""

    def hear(event: str, duration_secs: float, **_: str | int) -> None:
        if event == name:
            listen(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(hear)
