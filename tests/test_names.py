"""The words of tables and pictures."""

from castream_jax.names import name_answers


def test_a_class_with_what_each_pooling_says_in_the_order_given():
    assert name_answers(2, {"gap": 0, "ca": 2}, ("cat", "dog", "fox")) == "fox (GAP: cat, CA: fox)"
    assert name_answers(0, {"gap": 0}, ("cat",)) == "cat (GAP: cat)"
