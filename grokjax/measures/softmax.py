"""Whether the loss still teaches: softmax collapse, margins, and growth of the logits alone.

Once all training examples are classified correctly, cross-entropy falls by scaling the logits, that
is along the weights themselves: naive loss minimisation. It changes no prediction, delays
generalisation, and ends where float32 rounds the loss and its gradient to zero: softmax collapse.
Prieto, Barsbey, Mediano & Birdal, 2025, "Grokking at the Edge of Numerical Stability",
https://arxiv.org/abs/2501.04697.

Over the training examples, with logits z, label y and loss l:

    collapsed        share with sum_k exp(z_k - max z) = 1 exactly, in float32
    zero_loss        share with l = 0 exactly
    no_pull          share with dl / dz_y = 0 exactly: the label's logit is pulled up no more
    zero_gradient    share with dl / dz_k = 0 exactly for every k: nothing is learnt from it
    margin, smallest_margin      median and smallest of z_y - max over the other classes
    nlm              cosine of -g and w, g the gradient of the loss in all weights w
    nlm_readout      the same of the readout's weights alone

`collapsed` and `zero_loss` are those of the authors' logger. A sum that is near 1 may be rounded
otherwise by another device, which adds in another order. The cosine is the share of the gradient's
length that lies along the weights, with a sign; its square is the share of the squared length that
their OrthoGrad takes out. In a network homogeneous in its weights, such as a ReLU MLP without
biases, the weights are such a direction; in all of ours those of the readout are. The authors show
the cosines of single layers. The gradient is that of `examples` training examples, always the same,
or of all if there are no more; that of a large training set would take longer than the evaluation.

Collapse has a second effect. The wrong classes' gradients stay above zero, so those of all classes
no longer sum to zero: the mean of the classifier's weights drifts against the mean feature, and
both grow exponentially, up to a slingshot: numerical feature inflation. Liu, Cao, Li & Zhou, 2026,
"Grokking or Glitching? How Low-Precision Drives Slingshot Loss Spikes",
https://arxiv.org/abs/2605.06152. With W_k the readout's weights of class k and h the features:

    gradient_sum     mean of sum_k dl / dz_k, zero for cross-entropy without rounding
    classifier_mean  ||W_G||,  W_G the mean of the W_k
    feature_mean     ||h_G||,  h_G the mean of the h
    inflation        cosine of W_G and h_G: it goes to -1
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from grokjax.core import weight_stats
from grokjax.core.checks import MAX_ROWS
from grokjax.core.data import Task
from grokjax.core.hparams import check_ranges, whole
from grokjax.core.measure import Measure, View

RANGES = {"examples": whole(1, MAX_ROWS)}
TITLES = {
    "collapsed": "Share of training examples with collapsed softmax",
    "zero_loss": "Share of training examples with loss exactly 0",
    "no_pull": "Share whose label's logit has gradient exactly 0",
    "zero_gradient": "Share of training examples with gradient exactly 0",
    "margin": "Margin of a training example's label, median",
    "smallest_margin": "Margin of a training example's label, smallest",
    "nlm": "Cosine of the descent direction and the weights",
    "nlm_readout": "Cosine of descent direction and weights, readout",
    "gradient_sum": "Sum over classes of the logits' gradient",
    "classifier_mean": "Norm of the readout's mean over classes",
    "feature_mean": "Norm of the mean feature",
    "inflation": "Cosine of the readout's mean and the mean feature",
}
LOGARITHMIC = ("classifier_mean", "feature_mean")


def make(
    task: Task,
    network: nn.Module,
    *,
    examples: int = 512,  # training examples whose gradient is taken
) -> Measure:
    """What softmax and loss do to the training examples."""
    del task
    check_ranges("measure.softmax.", locals(), RANGES)

    def compute(view: View) -> dict[str, jax.Array]:
        train_N = view.train_N
        logits_NxC = view.outputs["logits"]
        label_NxC = jax.nn.one_hot(view.labels_N, logits_NxC.shape[1], dtype=bool)

        def total_loss(logits_NxC):
            loss_N = view.per_example(logits_NxC, view.labels_N)
            return loss_N.sum(), loss_N

        slope_NxC, loss_N = jax.grad(total_loss, has_aux=True)(logits_NxC)
        off_NxC = logits_NxC - logits_NxC.max(axis=1, keepdims=True)
        margin_N = jnp.where(
            train_N,
            jnp.where(label_NxC, logits_NxC, 0.0).sum(axis=1)
            - jnp.where(label_NxC, -jnp.inf, logits_NxC).max(axis=1),
            jnp.nan,
        )

        def mean(x_N):
            return jnp.where(train_N, x_N, 0.0).sum() / train_N.sum()

        rows_B, once_B = view.train_rows(examples)

        def loss(params):
            loss_B = view.per_example(view.logits(params, rows_B), view.labels_N[rows_B])
            return jnp.where(once_B, loss_B, 0.0).sum() / once_B.sum()

        slopes = jax.grad(loss)(view.params)
        readout_DxC = network.last_layer(view.params)
        classifier_D = readout_DxC.mean(axis=1)
        share_N = train_N / train_N.sum()
        feature_D = jnp.matmul(share_N, view.outputs["features"], precision="highest")
        return {
            "collapsed": mean(jnp.exp(off_NxC).sum(axis=1) == 1),
            "zero_loss": mean(loss_N == 0),
            "no_pull": mean((~label_NxC | (slope_NxC == 0)).all(axis=1)),
            "zero_gradient": mean((slope_NxC == 0).all(axis=1)),
            "margin": jnp.nanmedian(margin_N),
            "smallest_margin": jnp.nanmin(margin_N),
            "nlm": -_cosine(slopes, view.params),
            "nlm_readout": -_cosine(network.last_layer(slopes), readout_DxC),
            "gradient_sum": mean(slope_NxC.sum(axis=1)),
            "classifier_mean": jnp.linalg.norm(classifier_D),
            "feature_mean": jnp.linalg.norm(feature_D),
            "inflation": _cosine(classifier_D, feature_D),
        }

    return Measure(compute, reads=("logits", "features"))


def _cosine(one, other):
    """Of two trees. Each is scaled first: squares of a collapsed gradient would underflow."""
    directions = [_scaled(tree) for tree in (one, other)]
    norms = [weight_stats.norm(tree) for tree in directions]
    return jnp.asarray(optax.tree.vdot(*directions) / (norms[0] * norms[1]))


def _scaled(tree):
    largest = jnp.stack([jnp.abs(w).max() for w in jax.tree.leaves(tree)]).max()
    return jax.tree.map(lambda w: w / largest, tree)
