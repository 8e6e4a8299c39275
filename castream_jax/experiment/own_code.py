"""The user's own code that an experiment names: what its results depend on, beside settings and data."""

from castream_jax.config import Experiment
from castream_jax.importing import digest_code, is_address
from castream_jax.poolings.choice import list_addresses


def digest_own_code(experiment: Experiment) -> dict[str, str]:
    """Return the sha256 of each module that a network, pooling, map or metric is named from, by its address."""
    named = (experiment.model.name, *experiment.evaluation.attributions, *experiment.evaluation.metrics)
    addresses = [*filter(is_address, named), *list_addresses(experiment.model.pooling)]
    return {address: digest_code(address) for address in addresses}
