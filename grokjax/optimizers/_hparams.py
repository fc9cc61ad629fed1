"""Hyperparameters that several optimizers read; those of a single one stand in its own module."""

from grokjax.core.hparams import Hparam, above, at_least, between, steps

SHARED = {
    "learning_rate": Hparam(1e-3, float, above(0)),
    "weight_decay": Hparam(1.0, float, at_least(0)),
    "b1": Hparam(0.9, float, between(0, 1)),
    "b2": Hparam(0.98, float, between(0, 1)),
    "eps": Hparam(1e-8, float, above(0)),
    "momentum": Hparam(0.9, float, between(0, 1)),
    "alpha": Hparam(0.98, float, between(0, 1)),  # Grokfast's, as are the next two
    "lamb": Hparam(2.0, float, at_least(0)),
    "filter_start": Hparam(0, int, steps(followed_by=1)),
}
