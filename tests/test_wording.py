"""The words of tables and pictures."""

from castream_jax.wording import describe_odd, name_answers


def test_a_class_with_what_each_pooling_says_in_the_order_given():
    assert name_answers(2, {"gap": 0, "ca": 2}, ("cat", "dog", "fox")) == "fox (GAP: cat, CA: fox)"
    assert name_answers(0, {"gap": 0}, ("cat",)) == "cat (GAP: cat)"


def test_an_answer_that_is_no_class():
    assert name_answers(0, {"gap": 1, "ca": -1}, ("fox", "dog")) == "fox (GAP: dog, CA: not a number)"
    assert name_answers(-1, {"gap": -1}, ("fox",)) == "not a number (GAP: not a number)"


def test_the_first_fault_is_named():
    assert describe_odd({"nan": False, "all_negative": True, "flat": True}) == "nothing positive for this class"
    assert describe_odd({"nan": True, "flat": True}) == "not a number"
    assert describe_odd({"nan": False}) == ""
