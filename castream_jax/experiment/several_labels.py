"""What a dataset asks of a network and a protocol where its pictures show several classes."""

from castream_jax.binding.program import Plan
from castream_jax.data.source import Source
from castream_jax.errors import InputError
from castream_jax.models.scores import Score


def check_score_fits(source: Source, score: Score) -> None:
    """Raise `InputError` for pictures of several classes under a softmax, of which exactly one class is right."""
    if source.has_several_labels and score == "softmax":
        raise InputError(
            f"pictures of {source.name} show several classes each, or none, and config.model.score is 'softmax', under "
            "which exactly one is right. Set --config.model.score=sigmoid."
        )


def check_plan_fits(source: Source, plan: Plan) -> None:
    """Raise `InputError` for what an evaluation of pictures of several classes cannot mean.

    The predicted class would be explained once for each class that a picture shows, and an image of another label may
    show the explained class, too.
    """
    if not source.has_several_labels:
        return
    if any(protocol.explained_class == "predicted" for protocol in plan.protocols):
        raise InputError(
            f"pictures of {source.name} show several classes each, which are explained one by one: the protocol "
            f"{plan.protocols[0].name!r} explains the predicted class. Set --config.own_protocol.explained_class=label."
        )
    if beside := [metric.symbol for metric in plan.metrics if metric.needs_partners]:
        raise InputError(
            f"evaluation.metrics has {', '.join(beside)}, which puts images of other labels beside each image: those "
            f"of {source.name} show several classes, and may show the explained one. Leave it out."
        )
