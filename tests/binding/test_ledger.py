"""The count of passes: what runs through the trunk by itself is in it, and shared with nothing."""

import jax.numpy as jnp
import numpy as np

from castream_jax.binding.ledger import Ledger


def test_passes_that_no_question_tells_are_counted_for_every_image():
    """Two networks, three maps, six passes for one of them; a padded image is not counted."""
    ledger = Ledger([], [], networks=2, own_maps=3, shared_maps=0, images=4, alone=6)
    made, plain, *saved = np.asarray(ledger.count(jnp.asarray([True, True, True, False])))
    assert (made, plain, saved) == (3 * (1 + 6), 3 * (3 + 6), [0, 0, 0])
    assert (ledger.most(), ledger.most_for_maps()) == (7, 6)
