"""From the names of a config to records: the methods and metrics that come with this package, or a user's own."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from castream_jax.attribution import METHODS
from castream_jax.attribution.method import Method
from castream_jax.errors import InputError, choose
from castream_jax.importing import import_object, is_address
from castream_jax.metrics import METRICS
from castream_jax.metrics.metric import Metric

Record = TypeVar("Record", Method, Metric)


def choose_methods(names: Sequence[str], settings: Mapping[str, Any] | None = None) -> tuple[Method, ...]:
    """Return methods by key, or by address, as in "my_package.maps:my_cam".

    Args:
      names: in the order of the table.
      settings: `<key>_<option>` configures the method of that key, as `score_cam_tolerance` does; others are not read.

    Raises:
      InputError: an unknown name, an address of something else, a method that is named twice.
    """
    methods = [configure(_find("method", name, METHODS, Method), settings or {}) for name in names]
    _refuse_twice("method", [method.key for method in methods])
    return tuple(methods)


def choose_metrics(names: Sequence[str]) -> tuple[Metric, ...]:
    """Return metrics by symbol or by address; none named: those of the table.

    Raises:
      InputError: as `choose_methods`.
    """
    if not names:
        return tuple(metric for metric in METRICS.values() if metric.by_default and is_own(metric))
    metrics = [_find("metric", name, METRICS, Metric) for name in names]
    _refuse_twice("metric", [metric.symbol for metric in metrics])
    _refuse_twice("metric's column", [metric.column for metric in metrics])
    return tuple(metrics)


def list_settings(method: Method) -> dict[str, str]:
    """Return the settings of a method as a config names them, and what each is for `Method.configure`."""
    if method.configure is None:
        return {}
    return {f"{method.key}_{name}": name for name in inspect.signature(method.configure).parameters}


def configure(method: Method, settings: Mapping[str, Any]) -> Method:
    """Return a method with those of the settings that are its own."""
    own = {name: settings[setting] for setting, name in list_settings(method).items() if setting in settings}
    return method.configure(**own) if own and method.configure else method


def _find(what: str, name: str, known: dict[str, Record], kind: type[Record]) -> Record:
    """Return a record, which joins the known ones if it is a user's own."""
    if not is_address(name):
        return known[choose(what, name, known)]
    record = import_object(what, name)
    if not isinstance(record, kind):
        raise InputError(f"{what} {name!r} is {type(record).__name__}: expected a {kind.__name__} of castream_jax.")
    key = record.key if isinstance(record, Method) else record.symbol
    if key in known and known[key] != record and is_own(known[key]):
        raise InputError(f"{what} {name!r} has the key {key!r}, which another one has: give it a key of its own.")
    known[key] = record
    return record


def is_own(record: Method | Metric) -> bool:
    """Return whether a record comes with this package."""
    function = record.sums if isinstance(record, Method) else record.measure
    return getattr(function, "__module__", "").startswith("castream_jax.")


def _refuse_twice(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{what} {name!r} is named {names.count(name)} times: name each once.")
