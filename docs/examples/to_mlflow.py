"""MLflow: an experiment for a work directory, with a run for its training and one for its evaluation."""

import mlflow

import castream_jax as ca


def tell(event: ca.Event) -> None:
    if event.kind == "begin":
        mlflow.set_experiment(event.workdir.resolve().name)
        mlflow.start_run(run_name=event.run)
        mlflow.log_dict(dict(event.settings), "experiment.json")
    elif event.kind == "metrics":
        mlflow.log_metrics({f"{event.stage}/{name}": value for name, value in event.metrics.items()}, step=event.step)
    elif event.kind == "files":
        for file in event.files:
            mlflow.log_artifact(str(file), "report")
    else:
        mlflow.end_run("FAILED" if event.failed else "FINISHED")
