"""The page: a picture, the classes it may be of, and two of its maps side by side.

The server sends maps of a few bytes; the page paints them over the picture, so that opacity costs it nothing.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from castream_jax.app import wire
from castream_jax.app.viewer import Choice, Opened, Viewer
from castream_jax.app.worker import Worker
from castream_jax.data.pictures.photographs import find_photographs
from castream_jax.drawing.page import load_template
from castream_jax.errors import InputError, RunError
from castream_jax.explanation.gallery import describe_colours
from castream_jax.wording import name_attribution, name_pooling

HOUR = 3600
"""Seconds that a picture is kept which nobody looks at any more."""
WAITING = 16
"""Requests that may wait for others."""

NETWORK: dict[str, Any] = {"concurrency_id": "network", "concurrency_limit": 1, "api_visibility": "private"}
"""Of every event that asks the server: one at a time; they are the page's own, and no interface for programs."""
QUIET: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
"""Of those that say in the panel how far they are; of many in a row, the last one counts."""

PANEL = """<figure class="panel"><div class="frame" hidden><canvas role="img"></canvas></div>
<figcaption aria-live="polite"><span class="title"></span><span class="said"></span></figcaption></figure>"""
EXAMPLES = '<p class="faint">Or take one of these</p><div class="thumbnails"></div>'
ANSWERS = '<table hidden></table><p class="faint silent"></p>'
NOTICE = '<p class="notice" role="alert" hidden></p>'
SCALE = """<div class="scale" aria-hidden="true"><span>low</span><canvas width="256" height="1"></canvas>
<span>high</span></div>"""


def follow(function: str, *more: str) -> str:
    """Return what a component does with its value: hand it to a function of the page's script, now and at changes."""
    call = f"castream.{function}({', '.join(('element', 'props.value', *more))})"
    return f"const show = () => {call}; watch('value', show); show();"


def own_html(template: str, script: str, name: str, value: Any = None) -> gr.HTML:
    """Return a component whose markup never changes, and is filled in by the page's script."""
    return gr.HTML(value, html_template=template, js_on_load=script, apply_default_css=False, elem_id=name)


class Side:
    """One of the two maps: what is chosen, and where it is shown."""

    def __init__(self, viewer: Viewer, name: str, first: tuple[str, str]):
        """Lay it out; `name` tells it from the other, `first` is the method and pooling that it begins with."""
        method, pooling = first
        labels = [(class_name, label) for label, class_name in enumerate(viewer.class_names)]
        methods = [(found.name, found.key) for found in viewer.methods]
        with gr.Column(min_width=300, elem_id=f"side_{name}") as self.column:
            self.panel = own_html(PANEL, follow("panel"), f"panel_{name}")
            self.method = gr.Radio(methods, value=method, label="Map", elem_id=f"method_{name}")
            with gr.Row():
                self.pooling = gr.Radio(
                    list_poolings(viewer, method),
                    value=pooling,
                    label="Pooling",
                    elem_id=f"pooling_{name}",
                    min_width=120,
                )
                self.label = gr.Dropdown(
                    labels, value=None, label="Class", filterable=True, elem_id=f"class_{name}", min_width=170, scale=2
                )

    @property
    def chosen(self) -> list[Any]:
        """What is chosen: method, pooling, class."""
        return [self.method, self.pooling, self.label]


def list_poolings(viewer: Viewer, method: str) -> list[tuple[str, str]]:
    """Return the poolings of a method by the names that people read."""
    return [(name_pooling(pooling), pooling) for pooling in viewer.poolings_of(method)]


class Interface:
    """What the page asks of the server."""

    def __init__(self, viewer: Viewer, worker: Worker, photographs: list[Path]):
        """`photographs`: the examples."""
        self.viewer, self._worker, self._photographs = viewer, worker, photographs

    def open_file(self, file: str | None, before: Opened | None, pooling_a: str, pooling_b: str) -> tuple[Any, ...]:
        """Return what the page shows of a dropped file; what is no picture leaves it as it is, and says so."""
        if file is None:
            return (before, *[gr.skip()] * 6)
        return *self._open(Path(file), before, pooling_a, pooling_b), None  # the field is free for the next one

    def open_example(
        self, before: Opened | None, pooling_a: str, pooling_b: str, event: gr.EventData
    ) -> tuple[Any, ...]:
        """Return what the page shows of the example that was clicked."""
        photograph = self._photographs[int(event.place) % len(self._photographs)]
        return self._open(photograph, before, pooling_a, pooling_b)

    def open_first(self, pooling_a: str, pooling_b: str) -> tuple[Any, ...]:
        """Return what the page shows before anybody has chosen anything: the first example, if there is one."""
        if not self._photographs:
            return (None, *[gr.skip()] * 5)
        return self._open(self._photographs[0], None, pooling_a, pooling_b)

    def _open(self, path: Path, before: Opened | None, pooling_a: str, pooling_b: str) -> tuple[Any, ...]:
        try:
            work = self._worker.do(lambda _: self.viewer.open(path, path.name))
            opened = finish(work)
        except (InputError, RunError) as error:
            return before, *[gr.skip()] * 2, {"said": str(error)}, *[gr.skip()] * 2
        return (
            opened,
            wire.describe_opened(opened),
            wire.describe_answers(self.viewer, opened),
            {"said": ""},  # no plain text, in which gradio would look for HTML
            wire.predicted(opened, pooling_a),
            wire.predicted(opened, pooling_b),
        )

    def take_class(self, event: gr.EventData) -> tuple[int, int]:
        """Return the class that was clicked, for both maps."""
        label = int(event.label)
        return label, label

    def change_method(
        self, opened: Opened | None, method: str, pooling: str, label: int | None, is_shown: bool = True
    ) -> Iterator[Any]:
        """Yield the poolings of a method, the chosen one if it is among them, and what stands in the panel."""
        poolings = self.viewer.poolings_of(method)
        kept = pooling if pooling in poolings else poolings[0]
        for value in self.show(opened, method, kept, label, is_shown):
            yield gr.Radio(choices=list_poolings(self.viewer, method), value=kept), value

    def show(
        self, opened: Opened | None, method: str, pooling: str, label: int | None, is_shown: bool = True
    ) -> Iterator[Any]:
        """Yield what stands in a panel: how far its map is, then the map."""
        if opened is None or label is None or not is_shown:
            yield gr.skip()
            return
        choice = Choice(method, pooling, int(label))
        try:
            found = self.viewer.kept(opened, choice)
            if found is None:
                expected = self.viewer.expect_to_compile(method)
                work = self._worker.do(functools.partial(self.viewer.compute, opened, choice))
                while found is None:
                    try:
                        progress = next(work)
                    except StopIteration as end:
                        found = end.value
                    else:
                        yield wire.describe_waiting(self.viewer, opened, choice, progress, expected)
            yield wire.describe_map(self.viewer, opened, choice, found)
        except (InputError, RunError) as error:
            yield wire.describe_said(opened.number, str(error))


def finish(work: Any) -> Any:
    """Return the result of a piece of work that nobody hears of before its end."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def build(viewer: Viewer, worker: Worker) -> gr.Blocks:
    """Return the page, with what it asks of the server."""
    photographs = find_photographs()
    asked = Interface(viewer, worker, photographs)
    first_a, first_b = wire.first_choices(viewer)
    with gr.Blocks(title=f"What {viewer.model.name} sees", analytics_enabled=False, delete_cache=(HOUR, HOUR)) as page:
        opened = gr.State(None, time_to_live=HOUR)
        picture = gr.HTML(html_template="", js_on_load=follow("open").replace("element, ", ""), visible="hidden")
        gr.HTML(describe_heading(viewer), apply_default_css=False, elem_id="heading")
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                file = gr.File(label="Drop a picture", height=150, elem_id="file")
                notice = own_html(NOTICE, follow("notice"), "notice")
                examples = own_html(
                    EXAMPLES, follow("examples", "trigger"), "examples", wire.describe_examples(photographs)
                )
                answers = own_html(ANSWERS, follow("answers", "trigger"), "answers")
            with gr.Column(scale=3):
                with gr.Row():
                    opacity = gr.Slider(
                        0,
                        100,
                        value=50,
                        step=5,
                        label="Opacity of the map, in percent",
                        elem_id="opacity",
                        min_width=280,
                    )
                    compare = gr.Checkbox(True, label="Compare with a second map", elem_id="compare", min_width=200)
                with gr.Row():
                    a, b = Side(viewer, "a", first_a), Side(viewer, "b", first_b)
                own_html(SCALE, "castream.scale(element);", "scale")

        poolings = [a.pooling, b.pooling]
        shown = [opened, picture, answers, notice, a.label, b.label]
        begun = [
            page.load(asked.open_first, poolings, shown, **NETWORK, show_progress="hidden"),
            file.upload(asked.open_file, [file, opened, *poolings], [*shown, file], **NETWORK, show_progress="hidden"),
            examples.click(asked.open_example, [opened, *poolings], shown, **NETWORK, show_progress="hidden"),
            answers.click(asked.take_class, None, [a.label, b.label], **NETWORK, show_progress="hidden"),
            compare.input(lambda shown: gr.Column(visible=shown), compare, b.column, **NETWORK, show_progress="hidden"),
        ]
        # Lambdas, which tests do not wrap to check their types: gradio looks whether a function is a generator.
        change = {"fn": lambda *chosen: (yield from asked.change_method(*chosen))} | NETWORK
        show = {"fn": lambda *chosen: (yield from asked.show(*chosen))} | NETWORK
        show_a = show | {"inputs": [opened, *a.chosen], "outputs": a.panel}
        show_b = show | {"inputs": [opened, *b.chosen, compare], "outputs": b.panel}
        for event in begun:
            event.then(**show_a, show_progress="hidden").then(**show_b, show_progress="hidden")
        for side, show_side in ((a, show_a), (b, show_b)):
            outputs = [side.pooling, side.panel]
            side.method.input(**change | {"inputs": show_side["inputs"], "outputs": outputs}, **QUIET)
            gr.on([side.pooling.input, side.label.input], **show_side, **QUIET)
        opacity.change(None, opacity, None, js="(value) => castream.fade(value)")
    page.queue(max_size=WAITING, api_open=False)
    return page


def describe_heading(viewer: Viewer) -> str:
    """Return the head of the page."""
    return load_template(Path(__file__).with_name("heading.html.jinja")).render(
        network=viewer.model.name,
        notes=viewer.model.notes,
        methods=[name_attribution(method.key) for method in viewer.methods],
    )


def describe_script() -> str:
    """Return the page's script and style, for its head."""
    template = load_template(Path(__file__).with_name("head.html.jinja"))
    return template.render(colours=describe_colours())
