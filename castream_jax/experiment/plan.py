"""What an experiment measures, as the program takes it."""

from dataclasses import asdict

from castream_jax.attribution import METHODS
from castream_jax.attribution.null_maps import NULL_MAPS
from castream_jax.binding.choices import choose_methods, choose_metrics
from castream_jax.binding.program import Plan
from castream_jax.config import Experiment
from castream_jax.errors import InputError, choose
from castream_jax.experiment.preprocessing import evaluation_protocol
from castream_jax.models.cascade import check_can_be_drawn
from castream_jax.models.network import Network


def create_plan(experiment: Experiment, model: Network, given: tuple[str, ...] = ()) -> Plan:
    """Return what an evaluation computes for each image; its chunk must be settled.

    Args:
      experiment: whose `evaluation` names methods, metrics and the protocol.
      model: the network to explain.
      given: names of the maps that come from elsewhere.

    Raises:
      InputError: an unknown method, metric, target or protocol, a name that stands for two things.
    """
    config = experiment.evaluation
    methods = choose_methods(config.attributions, asdict(config))
    taken = {*(method.key for method in methods), *METHODS, *NULL_MAPS}
    if twice := sorted(taken & set(given)):
        raise InputError(f"maps from elsewhere are named {twice[0]!r}, as a method is: give their folder another name.")
    plan = Plan(
        target=model.target(config.target or None),
        chunk=config.chunk,
        methods=methods,
        given=given,
        null_maps=tuple(NULL_MAPS[choose("null map", key, NULL_MAPS)] for key in dict.fromkeys(config.null_maps)),
        metrics=choose_metrics(config.metrics),
        protocols=(evaluation_protocol(experiment, model),),
    )
    plan.keys(model.poolings())  # refuses what cannot be explained
    if any(metric.needs_fresh for metric in plan.metrics):
        check_can_be_drawn(model)
    return plan
