"""The program of a batch, compiled for all devices, and its results as rows.

Each device works on its own images and waits for no other.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from flax import nnx
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float

from castream_jax.binding.maps import MapKey
from castream_jax.binding.program import Found, Plan, Views, run
from castream_jax.compute.masking import upsample
from castream_jax.compute.sharding import DATA, split_images
from castream_jax.evaluation.row_images import IMAGE_FIELD, IMAGE_ID
from castream_jax.evaluation.rows import rows_schema
from castream_jax.models.cascade import Cascade
from castream_jax.models.network import Network

Results = dict[str, Array]
States = tuple[nnx.State, nnx.State | None]
"""A model's arrays, and the same drawn again where a metric asks for a network that knows nothing."""
EvaluateBatch = Callable[[States, dict[str, Any]], Results]


def create_evaluate_batch(graphdef: nnx.GraphDef, plan: Plan, mesh: Mesh) -> EvaluateBatch:
    """Return the compiled function from a model's arrays and a batch to everything that is measured.

    The batch is of `evaluation_batches`, without ids, and has the plan's `given` maps under these names, and `partners`
    [B n H W C] where a metric needs images beside each image. Returns a
    dictionary, M being the number of maps (`Plan.keys`) and E that of the explained ones, which come first: `maps`
    [E B h w], and every column of the rows that is not known from the batch, [M B] or [M B points], NaN where a method
    or an image has none; `cost`, a `Cost` as an array for each device.
    """

    def evaluate_batch(states: States, batch: dict[str, Array]) -> tuple[Results, Array]:
        state, fresh = states
        model: Network = nnx.merge(graphdef, state)
        cascade = None if fresh is None else Cascade(graphdef, state, fresh)
        found = run(model.poolings(), read_views(model, batch, plan), plan, cascade=cascade)
        return describe(found, batch, plan, model), found.ledger.count(batch["valid"])[None]

    def sharded(states: States, batch: dict[str, Array]) -> Results:
        specs = (PartitionSpec(None, DATA), PartitionSpec(DATA))
        results, cost = split_images(evaluate_batch, mesh, specs)(states, batch)
        return results | {"cost": cost}

    return jax.jit(sharded)


def read_views(model: Network, batch: dict[str, Array], plan: Plan) -> Views:
    """Return a batch as the program takes it."""
    is_predicted = plan.protocols[0].explained_class == "predicted"
    labels = jnp.full_like(batch["labels"], -1) if is_predicted else batch["labels"]
    given = {name: batch[name] for name in plan.given}
    partners = batch.get("partners")
    if partners is not None:
        flat = partners.reshape(-1, *partners.shape[2:])
        partners = model.normalisation(flat).reshape(partners.shape)
    images, truth = model.normalisation(batch["images"]), batch.get("truth")
    return Views(images, labels[:, None], batch["indices"], truth, given, partners)


def describe(found: Found, batch: dict[str, Array], plan: Plan, model: Network) -> Results:
    """Return what the program found as the columns of rows, and the maps."""
    networks, computed = list(model.poolings()), found.computed
    keys = plan.keys(model.poolings())
    pooling = np.array([networks.index(name) for _, name in keys])  # [M]
    maps = {key: values[:, 0] for key, values in computed.maps.items()}
    nan = {key: values[:, 0] for key, values in computed.nan.items()}

    def fill(values: dict[MapKey, Array], default: Any) -> Array:
        """Return [M B], those that have none being `default`."""
        return jnp.stack([values.get(key, jnp.full(batch["labels"].shape, default)) for key in keys])

    extra = [name for method in plan.methods for name in method.columns]
    columns = {name: {k: v[:, 0] for k, v in computed.columns.get(name, {}).items()} for name in extra}
    return (
        found.measures[0]
        | ({"maps": stack_maps(list(maps.values()))} if maps else {})
        | {
            "flat": fill({key: (values.max((1, 2)) == 0) & ~nan[key] for key, values in maps.items()}, False),
            "nan": fill(nan, False),
            "all_negative": fill({key: values[:, 0] for key, values in computed.all_negative.items()}, False),
            "predicted_class": found.predicted[pooling],
            "explained_class": found.explained[pooling, :, 0],
        }
        | {name: fill(values, jnp.nan) for name, values in columns.items()}
    )


def stack_maps(maps: list[Float[Array, "B _ _"]]) -> Float[Array, "E B h w"]:
    """Return maps in one array: coarser ones interpolated to the size of the finest, where they differ in size."""
    finest = max((values.shape[1:] for values in maps), key=math.prod)
    return jnp.stack([upsample(values, (finest[0], finest[1])) for values in maps])


def predict_cost(model: Network, plan: Plan, size: tuple[int, int]) -> tuple[int, int]:
    """Return how many images one image of an evaluation sends through the network at most, and how many of them are for
    the maps: from the program itself, by shapes alone.
    """
    graphdef, state = nnx.split(model)
    found: list[Found] = []
    partners = max((metric.needs_partners for metric in plan.metrics), default=0)

    def trace(state: nnx.State, images: Array) -> Array:
        network: Network = nnx.merge(graphdef, state)
        given = {name: jnp.zeros((1, *size)) for name in plan.given}
        beside = jnp.repeat(images[:, None], partners, axis=1) if partners else None
        views = Views(images, jnp.zeros((1, 1), jnp.int32), given=given, partners=beside)
        found.append(run(network.poolings(), views, plan, cascade=Cascade(graphdef, state, state)))
        return images

    channels = len(model.normalisation.mean)
    jax.eval_shape(trace, state, jax.ShapeDtypeStruct((1, *size, channels), jnp.float32))
    return found[0].ledger.most(), found[0].ledger.most_for_maps()


def to_rows(plan: Plan, keys: tuple[MapKey, ...], results: dict[str, np.ndarray], batch: dict[str, Any]) -> pa.Table:
    """Return one row for each valid image and map, image by image; what does not apply is null."""
    schema = rows_schema(plan.metrics, plan.methods)
    images = batch.get(IMAGE_ID)  # of pictures of several labels
    if images is not None:
        schema = schema.insert(1, IMAGE_FIELD)
    optional = {field.name for field in schema if field.nullable}
    fields = [name for name in schema.names if name in results]

    def value(name: str, m: int, i: Any) -> Any:
        found = results[name][m, i]
        return None if name in optional and np.ndim(found) == 0 and np.isnan(found) else found

    rows: list[dict[str, Any]] = [
        {"id": str(batch["ids"][i]), "label": batch["labels"][i], "attribution": attribution, "pooling": pooling}
        | ({} if images is None else {IMAGE_ID: str(images[i])})
        | {name: value(name, m, i) for name in fields}
        for i in np.flatnonzero(batch["valid"])
        for m, (attribution, pooling) in enumerate(keys)
    ]
    return pa.Table.from_pylist(rows, schema=schema)
