"""trackio: a run for the training and one for the evaluation, kept on this machine; `trackio show` shows them."""

import trackio

import castream_jax as ca


def tell(event: ca.Event) -> None:
    if event.kind == "begin":
        name = f"{event.workdir.resolve().name}-{event.run}"
        trackio.init(project="castream", name=name, resume="allow", config=dict(event.settings))
    elif event.kind == "metrics":
        trackio.log({f"{event.stage}/{name}": value for name, value in event.metrics.items()}, step=event.step)
    elif event.kind == "files":
        trackio.log({file.stem: trackio.Image(str(file)) for file in event.files if file.suffix == ".png"})
    else:
        trackio.finish()
