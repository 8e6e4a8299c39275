"""The predicted class, and networks that have none."""

import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.errors import InputError
from castream_jax.models.answers import check_probabilities, predict

INF, NAN = np.inf, np.nan


def test_what_is_not_a_number_predicts_nothing():
    logits = jnp.asarray([[1, 3, 2], [5, 5, 1], [NAN, 1, 2], [1, 2, NAN], [INF, 1, 2], [-INF, 1, 2], [-INF] * 3])
    np.testing.assert_array_equal(predict(logits), [1, 0, -1, -1, -1, 2, -1])


def test_one_logit_has_no_probability():
    check_probabilities("net", 2)
    with pytest.raises(InputError, match="net has one class: the softmax of one logit is 1 .* the logits 0 and z"):
        check_probabilities("net", 1)
