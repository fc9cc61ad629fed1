"""Any optimizer that optax offers, by its name.

DeepMind et al., 2020, "The DeepMind JAX Ecosystem", https://github.com/google-deepmind/optax
"""

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import optax
import optax.contrib

from grokjax.core.checks import check_choice
from grokjax.core.hparams import Range, Scalar
from grokjax.optimizers._hparams import SHARED

OURS = ("learning_rate", "weight_decay", "momentum")
BETAS = ("b1", "b2", "eps")  # read where optax has them at Adam's sizes, or eps at that of lamb
SIZES_OF_BETAS = ((0.9, 0.999, 1e-8), (0.9, 0.999, 1e-6))
HPARAMS = {name: SHARED[name] for name in OURS + BETAS}  # which of them: see `reads`

NEEDS_LOSS = "it asks for the loss as well as for gradients"
WRAPS = "it wraps another optimizer"
AVERAGES = "it evaluates averaged weights; the optimizer schedule_free does"
REFUSED = {
    **dict.fromkeys(("lbfgs", "polyak_sgd", "momo", "momo_adam", "sophia"), NEEDS_LOSS),
    **dict.fromkeys(("sam", "lookahead", "mechanize", "schedule_free"), WRAPS),
    **dict.fromkeys(("schedule_free_adamw", "schedule_free_sgd"), AVERAGES),
    "galore": "its state has empty arrays, which a checkpoint cannot hold",
    "dpsgd": "it asks for the gradient of each example",
    "noisy_sgd": "its noise is the same in all runs; sgd+update_noise draws its own",
}


def make(
    name: str = "nadamw",  # of optax or optax.contrib
    **hparams: Scalar,
) -> optax.GradientTransformation:
    """The optimizer `name` of optax or optax.contrib, at our hyperparameters.

    It reads `learning_rate`, `weight_decay` and `momentum` from `config.runs`, each where
    optax's signature has it, and kin of Adam read `b1`, `b2` (in adamax of a maximum) and
    `eps` too. Others give these names other meanings or sizes (adan, yogi, novograd,
    adabelief ...): there they stay, like all other arguments, as optax has them.

    The decay is decoupled as in AdamW but for adadelta, cocob, dog, dowg, lars and madgrad,
    where it goes through the gradient as in `adam`; in novograd it has momentum, in lamb it
    counts for the norm of the step, and muon decays matrices alone. What has no `weight_decay`
    in its signature does not decay. `momentum` is of a sum in sgd, lars and rmsprop, of a mean
    in adafactor and sm3, and of the weights in madgrad; sgd, rmsprop and adafactor have it
    here, though optax leaves it out unless told.

    Those that find the size of their steps themselves (dadapt_adamw, dog, dowg, prodigy) want
    a learning rate of 1; cocob has no use for one.
    """
    return _factory(name)(**hparams)


def reads(name: str = "nadamw") -> list[str]:
    """The traced hyperparameters that optimizer `name` takes."""
    defaults = {p.name: p.default for p in inspect.signature(_factory(name)).parameters.values()}
    like_adam = tuple(defaults.get(beta) for beta in BETAS) in SIZES_OF_BETAS
    return [hparam for hparam in OURS + BETAS * like_adam if hparam in defaults]


def names() -> list[str]:
    """What can be chosen: all that steps by a learning rate and needs gradients alone."""
    offered = {*dir(optax), *dir(optax.contrib)} - set(REFUSED)
    return sorted(name for name in offered if _is_whole(name, _attribute(name)))


def _factory(name) -> Callable[..., optax.GradientTransformation]:
    if name in REFUSED:
        raise ValueError(
            f"from_optax cannot run {name!r}: {REFUSED[name]}; choose from {', '.join(names())}"
        )
    check_choice("from_optax.name", name, names())
    return _attribute(name)


def _attribute(name) -> Any:
    return getattr(optax.contrib, name, None) or getattr(optax, name)


def _is_whole(name, factory):
    """Whether a factory makes a whole optimizer: `scale_by_...` makes part of one."""
    return (
        not name.startswith(("_", "scale_by_"))
        and isinstance(factory, FunctionType | functools.partial)
        and "learning_rate" in inspect.signature(factory).parameters
    )


RANGES = {"name": Range(", ".join(names()), _factory)}
