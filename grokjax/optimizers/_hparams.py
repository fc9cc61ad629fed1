"""Hyperparameters that several optimizers read; those of a single one stand in its own module."""

from grokjax.core.hparams import Hparam, above, at_least, between, steps

SHARED = {
    "learning_rate": Hparam(1e-3, float, above(0), "size of a step, before the schedule's factor"),
    "weight_decay": Hparam(1.0, float, at_least(0), "pull of the weights towards zero"),
    "b1": Hparam(0.9, float, between(0, 1), "decay of the mean gradient"),
    "b2": Hparam(0.98, float, between(0, 1), "decay of the mean squared gradient"),
    "eps": Hparam(1e-8, float, above(0), "added to what a step is divided by"),
    "momentum": Hparam(0.9, float, between(0, 1), "decay of the sum or mean of gradients"),
    "alpha": Hparam(0.98, float, between(0, 1), "decay of Grokfast's mean gradient"),
    "lamb": Hparam(2.0, float, at_least(0), "Grokfast's gain of the slow part; 0: none"),
    "filter_start": Hparam(0, int, steps(followed_by=1), "the first step that Grokfast filters"),
}
