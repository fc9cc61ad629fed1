"""Losses on numbers that can be checked by hand."""

import jax
import jax.numpy as jnp
import pytest

from grokjax.losses import correct, cross_entropy, l1_normalized, l1_plain

PARAMS = dict(kernel=jnp.array([3.0, -4.0]), bias=jnp.array([0.0]))


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_number_of_classes():
    loss_B = cross_entropy(jnp.zeros((2, 7)), jnp.array([0, 6]))

    assert loss_B.tolist() == pytest.approx([1.9459101] * 2)


def test_correct_is_where_the_largest_logit_stands():
    logits_BxC = jnp.array([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0]])

    assert correct(logits_BxC, jnp.array([1, 2])).tolist() == [True, False]


def test_the_normalised_l1_term_holds_its_norm_constant_in_the_gradient():
    value, grad = jax.value_and_grad(l1_normalized)(PARAMS)

    assert float(value) == pytest.approx(7 / 5)
    assert grad["kernel"].tolist() == pytest.approx([1 / 5, -1 / 5])
    assert grad["bias"].tolist() == [0.0]


def test_the_plain_l1_term_is_the_sum_of_magnitudes():
    value, grad = jax.value_and_grad(l1_plain)(PARAMS)

    assert float(value) == 7.0
    assert grad["kernel"].tolist() == [1.0, -1.0]
