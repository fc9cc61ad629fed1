"""A run: everything that may differ between two runs of one compiled program."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import flax.struct
import jax
from jax.typing import ArrayLike

from grokjax.core.data import Array


class Run(flax.struct.PyTreeNode):
    """The traced half of an experiment: one run, or R of them when every leaf has an axis R."""

    seed: Array  # [] int32: initial weights, order of batches, dropout, noise
    split_seed: Array  # [] int32: which examples are for training
    num_train_G: Array  # [G] int32: how many of each task of a mixture; else G is 1
    share_G: Array  # [G] int32: slots of a batch for each
    hparams: Mapping[str, Array]  # {name: [] float32}: learning rate, weight decay, ...


PRNG = "threefry2x32"  # of every key, whatever JAX_DEFAULT_PRNG_IMPL says


@contextlib.contextmanager
def same_numbers() -> Iterator[None]:
    """What is traced or compiled within depends on no setting of JAX for numbers."""
    with jax.threefry_partitionable(True), jax.enable_x64(False):
        yield


class Streams(NamedTuple):
    """Independent keys, one for each use of randomness; a step folds its number into one."""

    init: jax.Array
    split: jax.Array
    batch: jax.Array
    dropout: jax.Array
    noise: jax.Array
    labels: jax.Array


def streams(seed: ArrayLike) -> Streams:
    """The keys of a seed. `split` and `fold_in` share children, so no key here meets both."""
    return Streams(*jax.random.split(jax.random.key(seed, impl=PRNG), len(Streams._fields)))
