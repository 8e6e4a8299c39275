"""Weights & Biases: a run for the training and one for its evaluation, in one group."""

import wandb

import castream_jax as ca


def tell(event: ca.Event) -> None:
    if event.kind == "begin":
        # One id for a work directory: a run that goes on after a kill goes on there too.
        group = event.workdir.resolve().name
        name, settings = f"{group}-{event.run}", dict(event.settings)
        wandb.init(project="castream", id=name, group=group, resume="allow", config=settings)
    elif event.kind == "metrics" and event.run == "training":
        numbers = {f"{event.stage}/{name}": value for name, value in event.metrics.items()}
        wandb.log(numbers | {f"{event.stage}/step": event.step})  # each stage counts its own steps
    elif event.kind == "metrics":
        wandb.run.summary.update(event.metrics)
    elif event.kind == "files":
        wandb.log({file.stem: wandb.Image(str(file)) for file in event.files if file.suffix == ".png"})
        wandb.log({file.stem: wandb.Html(file.read_text()) for file in event.files if file.suffix == ".html"})
    else:
        wandb.finish(exit_code=int(event.failed))
