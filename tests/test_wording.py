"""The words of tables and pictures."""

from castream_jax.wording import (
    describe_odd,
    list_poolings,
    name_answers,
    name_pooling,
    order_pairs,
    order_poolings,
)


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


def test_poolings_are_named_with_their_options():
    assert name_pooling("class_attention") == "Class attention"
    assert name_pooling("ca(taps=stage3+stage4)") == "CA (taps=stage3+stage4)"
    assert name_pooling("gem(p=4)") == "GeM (p=4)"
    assert name_pooling("my.module:POOL(p=4)") == "my.module:POOL(p=4)"


def test_gap_is_first_and_the_rest_is_as_it_comes():
    assert order_poolings(["simpool", "ca", "gap", "gem(p=4)"]) == ["gap", "simpool", "ca", "gem(p=4)"]
    assert order_poolings(["network"]) == ["network"]


def test_all_attributions_have_their_poolings_in_one_order():
    pairs = [("attention", "simpool"), ("attention", "ca"), ("random", "gap")]
    pairs += [("grad_cam", pooling) for pooling in ("ca", "gap", "gem", "simpool")]
    assert list_poolings(pairs) == ["gap", "ca", "gem", "simpool"]
    ordered = {"attention": ["ca", "simpool"], "grad_cam": ["gap", "ca", "gem", "simpool"], "random": ["gap"]}
    assert order_pairs(pairs) == ordered
    assert list(order_pairs(pairs)) == ["attention", "grad_cam", "random"]
