"""Losses on numbers that can be checked by hand."""

import chex
import jax
import jax.numpy as jnp
import pytest
from absl.testing import parameterized

from grokjax.core.losses import (
    LOSSES,
    PRECISIONS,
    correct,
    cross_entropy,
    hinge,
    in_precision,
    l1_normalized,
    l1_plain,
    squared_error,
    stablemax_cross_entropy,
)

PARAMS = dict(kernel=jnp.array([3.0, -4.0]), bias=jnp.array([0.0]))


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_number_of_classes():
    loss_B = cross_entropy(jnp.zeros((2, 7)), jnp.array([0, 6]))

    assert loss_B.tolist() == pytest.approx([1.9459101] * 2)


def test_stablemax_of_three_logits():
    """s is 2 + 1, 1 and 1 / (1 + 1): probabilities 6/9, 2/9 and 1/9."""
    logits_BxC = jnp.array([[2.0, 0.0, -1.0]] * 3)
    loss_B = stablemax_cross_entropy(logits_BxC, jnp.array([0, 1, 2]))

    assert jnp.exp(-loss_B).tolist() == pytest.approx([6 / 9, 2 / 9, 1 / 9])


def test_stablemax_learns_where_softmax_has_rounded_to_zero():
    logits_BxC = jnp.array([[200.0, 0.0]])
    labels_B = jnp.array([0])

    def slope(loss):
        return jax.grad(lambda logits_BxC: loss(logits_BxC, labels_B)[0])(logits_BxC)

    assert not slope(cross_entropy).any()
    assert (jnp.abs(slope(stablemax_cross_entropy)) > 1e-5).all()


def test_squared_error_is_a_mean_over_classes():
    assert squared_error(jnp.array([[0.5, 2.0]]), jnp.array([1])).tolist() == [(0.25 + 1) / 2]


def test_hinge_is_what_a_logit_lacks_to_lead_by_one():
    """2 leads by 1.5; .5 lacks 1.5 + 1, and -1 lacks 3 + 1."""
    logits_BxC = jnp.array([[2.0, 0.5, -1.0]] * 3)

    assert hinge(logits_BxC, jnp.array([0, 1, 2])).tolist() == [0.0, 2.5, 4.0]


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_falls_as_the_right_logit_rises(name):
    low, high = (LOSSES[name](jnp.array([[x, 0.2, -3.0]]), jnp.array([0]))[0] for x in (-1.0, 0.9))

    assert 0 < high < low


def test_correct_is_where_the_largest_logit_is():
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


class CompiledOrNotTest(chex.TestCase):
    """The scope in which JAX has 64 bits begins and ends within the program, or outside of one."""

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.product(name=list(LOSSES), precision=PRECISIONS)
    def test_a_loss_and_its_slope_are_float32_and_the_same_in_any_precision(self, name, precision):
        logits_BxC, labels_B = jnp.array([[0.5, -1.0, 2.0], [1.0, 0.0, -0.25]]), jnp.array([2, 0])

        def slope(loss):
            return jax.value_and_grad(lambda logits_BxC: loss(logits_BxC, labels_B).sum())

        given = self.variant(slope(in_precision(LOSSES[name], precision)))(logits_BxC)

        chex.assert_type(jax.tree.leaves(given), jnp.float32)
        rtol = 1e-2 if precision == "float16" else 1e-5
        chex.assert_trees_all_close(given, slope(LOSSES[name])(logits_BxC), rtol=rtol, atol=1e-6)
