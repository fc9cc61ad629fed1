"""A measure of a run: numbers computed at evaluations that say why it generalises, or why not."""

import dataclasses
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from grokjax.core import losses
from grokjax.core.checks import of_a_part
from grokjax.core.data import Array
from grokjax.core.dataset import Dataset
from grokjax.core.prefixes import Tree
from grokjax.core.run import Run, streams
from grokjax.core.split import Split, is_train

# what a measure may read of the whole table, besides the weights: the logits [N, C], what enters
# the readout [N, D], and the hidden layer of the last MLP [N, F], after its activation
OUTPUTS = ("logits", "features", "neurons")


@dataclasses.dataclass(frozen=True)
class View:
    """One run as a measure sees it, at one evaluation."""

    params: Any  # those that are evaluated
    run: Run
    dataset: Dataset
    split: Split
    initial_params: Callable[[], Any]  # before the first step, drawn again from the seed
    logits: Callable  # (params, rows_B) -> logits_BxC
    per_example: Callable  # (logits_BxC, labels_B) -> loss_B, that of training
    outputs: dict[str, jax.Array]  # of all N rows in the table's order, as far as they are read
    correct: Callable = losses.correct  # (logits_BxC, labels_B) -> bool_B

    @property
    def labels_N(self) -> Array:
        """The labels that this run trains on, noisy ones included."""
        return self.split.labels_N

    @property
    def train_N(self) -> jax.Array:
        """Bool: does this run train on the example?"""
        return is_train(self.split)

    def train_rows(self, size: int) -> tuple[jax.Array, jax.Array]:
        """[B]: the first training rows in the split's own random order, the same in every call.

        There are `size` of them, repeated from the start if the training set is smaller. The other
        array [B] is bool: does the row come for the first time? Means are taken over those.
        """
        (rows_B,) = jnp.nonzero(self.train_N[self.split.order_N], size=size, fill_value=0)
        count = jnp.minimum(self.split.num_train_G.sum(), size)
        place_B = jnp.arange(size)
        return self.split.order_N[rows_B[place_B % count]], place_B < count

    def key(self, measure: str) -> jax.Array:
        """A measure's own key, the same at every evaluation; what training draws stays as it is.

        Training folds the numbers of its steps into that stream, which are below 2**31.
        """
        number = 2**31 + zlib.crc32(measure.encode()) % 2**31
        return jax.random.fold_in(streams(self.run.seed).noise, number)

    def loss(self, params: Any, rows_B: jax.Array) -> jax.Array:
        """The mean loss of some rows, without penalties."""
        logits_BxC = self.logits(params, rows_B)
        return self.per_example(logits_BxC, self.labels_N[rows_B]).mean()


class Measure(NamedTuple):
    """What a module of `measures/` makes: a pure function of one run."""

    compute: Callable[[View], dict[str, jax.Array]]  # {name: [] or [K]}, float32
    reads: tuple[str, ...] = ()  # of OUTPUTS


class Measures(NamedTuple):
    """The measures of an experiment by their names, and how often they are taken."""

    every: int  # steps, a multiple of those between evaluations
    measures: dict[str, Measure]

    @property
    def reads(self) -> tuple[str, ...]:
        """The outputs that any of them reads."""
        read = {output for measure in self.measures.values() for output in measure.reads}
        return tuple(output for output in OUTPUTS if output in read)

    def take(self, view: View) -> dict[str, jax.Array]:
        """{measure/name: [] or [K]} of all measures."""
        found = {}
        for measure, (compute, _) in self.measures.items():
            for name, value in compute(view).items():
                with of_a_part(
                    f"measure {measure} gives {name} {jnp.shape(value)}; make [] or [K]"
                ):
                    chex.assert_rank(value, {0, 1})
                found[f"{measure}/{name}"] = jnp.asarray(value, jnp.float32)
        return found


NONE = Measures(1, {})


def outputs(
    network: nn.Module, params: Any, tree: Tree, names: Sequence[str]
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The logits [B, C] of some examples, and the outputs that are asked for.

    A model shows them by `self.sow("intermediates", "features", features_BxD)`, and `neurons`,
    which costs nothing where nobody asks. Of several layers the last one counts.

    Raises:
        ValueError: for an output that is read and has not a row for each example.
    """
    logits_BxC, shown = network.apply({"params": params}, tree, mutable=["intermediates"])
    found = {"logits": logits_BxC}
    layers: dict[tuple, Any] = flatten_dict(shown.get("intermediates", {}))
    for path in sorted(layers, key=by_number):
        found[path[-1]] = layers[path][-1]  # of a block that is applied again, the last time
    read = {name: found[name] for name in names}
    num_rows = len(logits_BxC)
    for name, output in read.items():
        with of_a_part(
            f"the model sows {name} {jnp.shape(output)}; make them [B, ...] with a row for each of "
            f"the B = {num_rows} examples"
        ):
            chex.assert_axis_dimension(output, 0, num_rows)
    return logits_BxC, read


def shown(network: nn.Module, params: Any, tree: Tree) -> set[str]:
    """The outputs that a model shows, found by shapes."""
    everything = jax.eval_shape(
        lambda params: network.apply({"params": params}, tree, mutable=["intermediates"])[1], params
    )
    return {"logits", *(path[-1] for path in flatten_dict(everything.get("intermediates", {})))}


def by_number(path: tuple[str, ...]) -> list[list[str | int]]:
    """A key to sort paths of names by: block_2 before block_10."""
    return [
        [int(word) if word.isdigit() else word for word in re.split(r"(\d+)", name)]
        for name in path
    ]
