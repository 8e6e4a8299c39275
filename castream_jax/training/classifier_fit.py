"""Fits a classifier of new classes to a frozen backbone: logistic regression on features that are computed once."""

import logging
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jaxtyping import Array, Bool, Float, Int, UInt8
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from tqdm import tqdm

from castream_jax.compute.sharding import create_local_mesh, replicate, round_up, split_images
from castream_jax.config import Experiment
from castream_jax.data.bad_records import BadRecords
from castream_jax.data.classes.label_sets import PRESENT
from castream_jax.data.pipeline import evaluation_batches
from castream_jax.data.source import Source
from castream_jax.errors import InputError
from castream_jax.experiment.average_precision import mean_average_precision
from castream_jax.experiment.preprocessing import network_resize
from castream_jax.models.classifier import Classifier

log = logging.getLogger(__name__)

LARGEST = 2 * 2**30
"""Bytes of features that are kept in memory, and that a regression is fitted to in minutes."""
STEPS = 1000
"""Of L-BFGS, at most."""
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Of regressions that are tried, as scikit-learn's C: the inverse of the penalty."""
FEWEST = 20
"""Images; of fewer none are held out, and C is 1."""


def fit_classifier(model: Classifier, experiment: Experiment, source: Source) -> None:
    """Set a network's classifier to the logistic regression of a split's labels on its features, in place.

    The features are those of the images as an evaluation sees them, not augmented. With scores of a sigmoid, each class
    has a regression of its own. Of many processes the first one fits, for all.

    Args:
      model: its backbone is left as it is, and its GAP network's pooled feature is what the classifier sees.
      experiment: whose preprocessing is settled; its batch size of evaluation is used.
      source: the split to fit to.

    Raises:
      InputError: a class without images, or of several labels one that all images show; too many features to keep.
    """
    width = model.classifier.linear.in_features
    if len(source) > (most := LARGEST // (width * 4)):
        if experiment.backbone.epochs:
            log.info(
                "classifier: not fitted, as there are more than %s images; it is trained from scratch", f"{most:,}"
            )
            return
        raise InputError(
            f"{source.name} has {len(source):,} images, and this network's classifier is fitted to at most {most:,}: "
            "set --config.backbone.epochs to train the classifier with the whole network."
        )
    arrays = np.zeros((width, source.num_classes), np.float32), np.zeros(source.num_classes, np.float32)
    if not jax.process_index():
        features, labels = compute_features(model, experiment, source)
        if source.has_several_labels:
            arrays = fit_several(features, labels == PRESENT, source)
        elif missing := sorted(set(range(source.num_classes)) - set(labels.tolist())):
            names = ", ".join(source.class_names[label] for label in missing[:5])
            raise InputError(f"{source.name} has no images of {len(missing)} classes to fit a classifier to: {names}.")
        else:
            arrays = regress(features, labels, source.num_classes, model.score == "sigmoid")
            right = np.mean((features @ arrays[0] + arrays[1]).argmax(1) == labels)
            log.info("classifier: fitted to %s images, of which it has %.1f %% right", f"{len(labels):,}", 100 * right)
    kernel, bias = multihost_utils.broadcast_one_to_all(arrays)
    linear = model.classifier.linear
    assert linear.bias is not None
    linear.kernel[...], linear.bias[...] = jnp.asarray(kernel), jnp.asarray(bias)


def compute_features(
    model: Classifier, experiment: Experiment, source: Source
) -> tuple[Float[np.ndarray, "N C"], Int[np.ndarray, "N"] | UInt8[np.ndarray, "N K"]]:
    """Return what the classifier sees of each image that can be read, and its label, or the row of several."""
    graphdef, state = nnx.split(model.poolings()["gap"])
    mesh = create_local_mesh()

    def pool(state: nnx.State, images: Array) -> Array:
        gap: Classifier = nnx.merge(graphdef, state)
        return gap.classifier.normalise(gap.pool(gap.features(gap.normalisation(images)))[0])

    pool_images, state = jax.jit(split_images(pool, mesh)), replicate(state, mesh)
    batch_size = round_up(experiment.evaluation.batch_size, mesh)
    bad_records = BadRecords(source, experiment.data.on_bad_record)
    batches = evaluation_batches(source, network_resize(model), batch_size, bad_records=bad_records)
    features, labels = [], []
    with tqdm(total=len(source), desc="features", unit="image") as bar:
        for batch in batches:
            valid = batch["valid"]
            features.append(np.asarray(pool_images(state, batch["images"]))[valid])
            labels.append(batch["labels"][valid])
            bar.update(int(valid.sum()))
    return np.concatenate(features), np.concatenate(labels)


def fit_several(
    features: Float[np.ndarray, "N C"], present: Bool[np.ndarray, "N K"], source: Source
) -> tuple[Float[np.ndarray, "C K"], Float[np.ndarray, "K"]]:
    """Return kernel and bias of a logistic regression for each class, present or absent, as `regress`.

    The penalty is the same for all, the one of `STRENGTHS` with the largest mean average precision on a fifth of the
    images, held out of the others.

    Raises:
      InputError: a class that no image shows, or all do.
    """
    for shown, what in ((present, "show"), (~present, "are without")):
        if len(found := np.flatnonzero(~shown.any(0))):
            names = ", ".join(source.class_names[int(label)] for label in found[:5])
            raise InputError(
                f"{source.name} has no images that {what} {len(found)} of its classes, which a classifier needs to be "
                f"fitted to them: {names}."
            )
    spread = float(features.std()) or 1.0
    scaled, strength = features / spread, 1.0
    if len(features) >= FEWEST:
        seen, held, seen_present, held_present = train_test_split(scaled, present, test_size=0.2, random_state=0)
        found_by = {}
        for each in STRENGTHS:
            kernel, bias = regress_each(seen, seen_present, each)
            found_by[each] = mean_average_precision(held @ kernel + bias, held_present.astype(np.uint8))
        strength = max(found_by, key=lambda each: np.nan_to_num(found_by[each]))
    kernel, bias = regress_each(scaled, present, strength)
    precision = mean_average_precision(scaled @ kernel + bias, present.astype(np.uint8))
    log.info("classifier: fitted to %s images, mean average precision %.1f %%", f"{len(features):,}", 100 * precision)
    return (kernel / spread).astype(np.float32), bias.astype(np.float32)


def regress_each(
    features: Float[np.ndarray, "N C"], present: Bool[np.ndarray, "N K"], strength: float
) -> tuple[Float[np.ndarray, "C K"], Float[np.ndarray, "K"]]:
    """Return kernel and bias of each class's regression; zeros for one that all images show, or none."""
    kernel, bias = np.zeros((features.shape[1], present.shape[1])), np.zeros(present.shape[1])
    for label, shown in enumerate(present.T):
        if shown.any() and not shown.all():
            fitted = fit(features, shown.astype(np.int64), strength, apart=False)
            kernel[:, label], bias[label] = fitted.coef_[0], fitted.intercept_[0]
    return kernel, bias


def regress(
    features: Float[np.ndarray, "N C"], labels: Int[np.ndarray, "N"], num_classes: int, apart: bool = False
) -> tuple[Float[np.ndarray, "C K"], Float[np.ndarray, "K"]]:
    """Return kernel and bias of the logistic regression, penalised by the squared norm of its kernel.

    The penalty is the one of `STRENGTHS` that is right most often on a fifth of the images, held out of the others; the
    features count in units of their spread.

    Args:
      features, labels: of the images; each class has some.
      num_classes: K.
      apart: each class against all others, by itself; else one softmax over all.
    """
    spread = float(features.std()) or 1.0
    scaled = features / spread
    strength = choose_strength(scaled, labels, apart and num_classes > 2)
    fitted = fit(scaled, labels, strength, apart and num_classes > 2)
    members = getattr(fitted, "estimators_", [fitted])
    if max(int(np.max(member.n_iter_)) for member in members) >= STEPS:
        log.warning("classifier: the regression had not converged after %d steps.", STEPS)
    kernel = np.concatenate([member.coef_ for member in members]).T / spread
    bias = np.concatenate([member.intercept_ for member in members])
    if num_classes == 2:  # one logit, of the second class against the first
        share = 1.0 if apart else 0.5
        kernel, bias = np.concatenate([-kernel, kernel], 1) * share, np.concatenate([-bias, bias]) * share
    return kernel.astype(np.float32), bias.astype(np.float32)


def choose_strength(features: Float[np.ndarray, "N C"], labels: Int[np.ndarray, "N"], apart: bool) -> float:
    """Return the inverse of the penalty that does best on images held out, the stronger penalty where two do."""
    counts = np.bincount(labels)
    if len(labels) < FEWEST or counts[counts > 0].min() < 2:
        return 1.0
    parts = train_test_split(
        features, labels, test_size=max(0.2, np.count_nonzero(counts) / len(labels)), random_state=0, stratify=labels
    )
    seen, held, seen_labels, held_labels = parts
    right = {strength: fit(seen, seen_labels, strength, apart).score(held, held_labels) for strength in STRENGTHS}
    return max(right, key=lambda strength: right[strength])


def fit(features: Float[np.ndarray, "N C"], labels: Int[np.ndarray, "N"], strength: float, apart: bool) -> Any:
    """Return scikit-learn's regression, or one for each class."""
    single = LogisticRegression(C=strength, max_iter=STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return (OneVsRestClassifier(single) if apart else single).fit(features, labels)
