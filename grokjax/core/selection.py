"""Parameters chosen by names or kinds, and an optimizer that leaves them as they are."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from grokjax.core.checks import check_choice, did_you_mean
from grokjax.core.optimizer import Optimizer

KINDS = ("all", "matrices", "hidden")
ENDS = {"token", "position", "frames", "readout"}  # rows are looked up, or are answers


def path_of(keys: tuple) -> str:
    """`block_0/mlp/up/kernel` for the way to a leaf of a tree."""
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def kinds_of(names: Iterable[str]) -> set[str]:
    """The names without their numbers: `token_0`, `token_2` -> `token`."""
    return {re.sub(r"_\d+$", "", name) for name in names}


def chosen(what: str, params: Any, names: Sequence[str]) -> Any:
    """A tree of bools: is the parameter called that, or does it lie within what is?

    Args:
        what: asks for them, as an error says it.
        params: of a network.
        names: paths or their beginnings, such as `token` or `block_0/attention`.

    Raises:
        ValueError: for a name that no parameter has.
    """
    paths = [path_of(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(params)]
    parts = [path.split("/") for path in paths]
    known = dict.fromkeys("/".join(part[:n]) for part in parts for n in range(1, len(part) + 1))
    if unknown := [name for name in names if name not in known]:
        choices = ", ".join(dict.fromkeys(part[0] for part in parts))
        raise ValueError(
            f"{what} has {unknown[0]!r}, which is no parameter; choose from {choices}, or a path "
            f"within{did_you_mean(unknown[0], known)}"
        )

    def is_chosen(keys, _):
        return any(f"{path_of(keys)}/".startswith(f"{name}/") for name in names)

    return jax.tree_util.tree_map_with_path(is_chosen, params)


def is_hidden(keys: tuple, w: jax.Array) -> bool:
    """Is it a matrix between the two ends of a network: no embedding, no readout, no vector?"""
    return w.ndim > 1 and not ENDS & kinds_of(path_of(keys).split("/"))


def mask(what: str, kind: str) -> Callable[[Any], Any] | None:
    """A mask of optax for the parameters of a kind of KINDS; None, which masks nothing, for all.

    `matrices` have two axes or more, as neither biases nor norms have; `hidden` ones are those
    of them that are neither embeddings nor the readout.

    Raises:
        ValueError: for an unknown kind, which `what` asks for.
    """
    check_choice(what, kind, KINDS)
    if kind == "all":
        return None

    def is_of_kind(keys, w):
        return is_hidden(keys, w) if kind == "hidden" else w.ndim > 1

    return lambda params: jax.tree_util.tree_map_with_path(is_of_kind, params)


def frozen(optimizer: Optimizer, names: Sequence[str]) -> Optimizer:
    """An optimizer under which the chosen parameters keep every bit, weight decay or not.

    Their gradients are zero to it, so that they count in no norm that is clipped, and what comes
    out for them is left out. They are evaluated as they are, not as an average. The norm of all
    weights moves, also behind `hold_norm`.
    """

    def kept(params, tree, replacement):
        is_frozen = chosen("freeze", params, names)
        if all(jax.tree.leaves(is_frozen)):
            raise ValueError("freeze has every parameter, so none is trained; leave one out")
        return jax.tree.map(lambda froze, x, y: y if froze else x, is_frozen, tree, replacement)

    def update(updates, state, params, **extra):
        still = jax.tree.map(lambda u: jnp.full_like(u, -0.0), updates)  # w + -0.0 is w, also if 0
        updates, state = optimizer.update(kept(params, updates, still), state, params, **extra)
        return kept(params, updates, still), state

    def eval_params(params, state):
        return kept(params, optimizer.eval_params(params, state), params)

    return optimizer._replace(update=update, eval_params=eval_params)
