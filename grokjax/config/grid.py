"""The grid of `config.runs` as runs [R], each with its rows and its slots of a batch."""

import itertools
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from grokjax.config import registry
from grokjax.config.mix import apportion, largest_subsets, shares
from grokjax.core import losses, schedules
from grokjax.core.checks import check_between, is_a
from grokjax.core.hparams import FRACTION, Hparam, Range, above, at_least
from grokjax.core.run import Run
from grokjax.core.split import Strata
from grokjax.optimizers._hparams import SHARED

SEEDS = Range("0 to 2**31 - 1", lambda x: 0 <= x < 2**31)
MIXES = Range("shares such as '90:10'", lambda x: ":" in x)
HPARAMS = {  # of every run, whatever its parts
    "seed": Hparam(0, int, SEEDS, "of initial weights, batches and noise"),
    "split_seed": Hparam(None, int, SEEDS, "of the split; (): the seed"),
    "train_fraction": Hparam(0.5, float, FRACTION, "share of the examples that are trained on"),
    "mix": Hparam(None, str, MIXES, "shares of a mixture's tasks in a batch; (): equal"),
    "label_noise": Hparam(0, int, at_least(0, "labels"), "training labels drawn at random"),
    "init_scale": Hparam(1.0, float, above(0), "factor of all initial weights"),
}
MAX_RUNS = 100_000
MAX_COUNT = 2**24  # up to which float32 has every whole number
FIELDS = {"seed", "split_seed", "train_fraction", "mix"}  # a `Run` has fields of its own for these
# The order of entries in a grid, of which the last varies fastest.
ORDER = {name: i for i, name in enumerate((*HPARAMS, *schedules.HPARAMS, *SHARED))}


def entries(chain: Sequence[str]) -> dict[str, Hparam]:
    """What `config.runs` has for a chain of optimizers."""
    of_chain = {}
    for name in chain:
        of_chain |= registry.hparams(name)
    return HPARAMS | schedules.HPARAMS | of_chain | losses.HPARAMS


def read_by(config: ConfigDict) -> set[str]:
    """The entries of `config.runs` that something in a config reads."""
    read = {*HPARAMS, *losses.HPARAMS, *schedules.reads(config.schedule.learning_rate)}
    for name in config.optimizer.chain:
        read |= set(registry.reads(name, config.optimizer.get(name, {})))
    return read


def expand(config: ConfigDict, group_sizes: Sequence[int], strata: Strata) -> tuple[Run, list[str]]:
    """The grid of `config.runs` as runs [R] and a label for each, the last entry fastest.

    Args:
        config: with its entries of `runs`, which are checked here.
        group_sizes: [G] rows of each task of a mixture.
        strata: of the task's rows.

    Raises:
        ValueError: for a value that is out of range, or that nothing reads.
    """
    read = read_by(config)
    known = entries(config.optimizer.chain)
    runs = {
        name: _typed(name, hparam, config.runs.get(name, hparam.values))
        for name, hparam in known.items()
    }
    for name, values in runs.items():
        if name not in read and values != known[name].values:
            raise ValueError(_unread(name, config))
        is_chosen = values != known[name].values  # a trial may be shorter than the usual warm-up
        if name in read and (is_chosen or known[name].range.followed_by):
            _check_steps(name, known[name].range.followed_by, values, config.schedule.num_steps)
    if count(runs) > MAX_RUNS:
        raise ValueError(
            f"config.runs is a grid of {count(runs):,} runs; choose at most {MAX_RUNS:,}"
        )
    points = grid_points(runs)

    def column(name, dtype):
        return np.array([point[name] for point in points], dtype)

    rows_G = np.bincount(strata.group_N[~strata.held_out_N], minlength=len(group_sizes))
    share_RxG = np.array([shares(point["mix"], len(rows_G)) for point in points])
    num_train_RxG = np.rint(np.outer(column("train_fraction", float), rows_G)) * (share_RxG > 0)
    if config.split.proportional:
        num_train_RxG = [*map(largest_subsets, share_RxG, num_train_RxG)]
    runs_R = Run(
        seed=column("seed", np.int32),
        split_seed=column("split_seed", np.int32),
        num_train_G=np.array(num_train_RxG, np.int32),
        share_G=np.array([apportion(share_G, config.batch_size) for share_G in share_RxG]),
        hparams={name: column(name, np.float32) for name in known if name in read - FIELDS},
    )
    return runs_R, labels(runs)


def grid_points(runs: Mapping[str, Sequence]) -> list[dict[str, Any]]:
    """The value of every entry in each run, in the order of the runs.

    Args:
        runs: `config.runs`, or the record of it: a sequence of values for each entry.
    """
    runs = {name: hparam.values for name, hparam in HPARAMS.items()} | dict(runs)
    last = len(ORDER)
    names = sorted(runs, key=lambda x: (ORDER.get(x, last + (x in losses.HPARAMS)), x))
    values = [runs[name] or (None,) for name in names]
    points = [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]
    for point in points:
        if point["split_seed"] is None:
            point["split_seed"] = point["seed"]
    return points


def points_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The value of every entry in each run of a record, which may be of a shard."""
    points = grid_points(record["runs"])
    i, n = map(int, record.get("shard", "1/1").split("/"))
    return [points[r] for r in shard(len(points), i, n)]


def axes(runs: Mapping[str, Sequence]) -> dict[str, list]:
    """{entry: its values} of the entries that vary."""
    return {name: list(values) for name, values in runs.items() if len(values) > 1}


def labels(runs: Mapping[str, Sequence]) -> list[str]:
    """A label for each run of a grid: the entries that vary."""
    return [label(point) for point in varying_points(runs)]


def varying_points(runs: Mapping[str, Sequence]) -> list[dict[str, Any]]:
    """`grid_points` of the entries that vary, or of the seed if none does."""
    varied = {name for name, values in runs.items() if len(values) > 1} or {"seed"}
    return [{name: point[name] for name in point if name in varied} for point in grid_points(runs)]


def count(runs: Mapping[str, Sequence]) -> int:
    """How many runs `config.runs` has."""
    return math.prod(max(1, len(values)) for values in runs.values())


def shard(num_runs: int, i: int, n: int) -> range:
    """Which runs are in the i-th of n shards, i = 1 .. n; there may be none."""
    return range((i - 1) * num_runs // n, i * num_runs // n)


def label(values: Mapping[str, Any]) -> str:
    """Such as `seed=0 learning_rate=0.001`; all digits where fewer would be another value."""

    def short(value):
        if isinstance(value, str):
            return value
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)

    return " ".join(f"{name}={short(value)}" for name, value in values.items())


def _typed(name, hparam, values):
    """One entry of `config.runs`, every element checked and of its type."""
    if not isinstance(values, tuple) or not (values or not hparam.values):
        raise ValueError(f"runs.{name} = {values!r}; choose a tuple of one value or more")
    for value in values:
        if not is_a(value, hparam.type):
            raise ValueError(
                f"runs.{name} has {reprlib.repr(value)}; "
                f"choose {hparam.type.__name__}s, {hparam.range.text}"
            )
    trained = [_trained(name, hparam, value) for value in values]
    for value, rounded in zip(values, trained, strict=True):
        if not hparam.range.holds(rounded):
            rounds = f", in float32 {rounded!r}" if hparam.range.holds(value) else ""
            raise ValueError(f"runs.{name} has {value!r}{rounds}; choose {hparam.range.text}")
    if len(set(trained)) < len(values):
        raise ValueError(f"runs.{name} = {values!r} has a value twice; choose each once")
    return tuple(hparam.type(value) for value in values)


def _trained(name, hparam, value):
    """What training makes of a value: float32, but for the fields of a `Run`."""
    if hparam.type is str:
        return value
    if name in FIELDS:
        return value
    if hparam.type is int:
        check_between(f"an element of runs.{name}", value, -MAX_COUNT, MAX_COUNT)
    return float(np.float32(value))


def _check_steps(name, followed_by, values, num_steps):
    """What begins or lasts beyond the last step would train something other than its name."""
    if followed_by is not None and max(values, default=0) + followed_by > num_steps:
        raise ValueError(
            f"runs.{name} has {max(values):g}, but schedule.num_steps is {num_steps}; choose "
            f"{num_steps - followed_by} or less, or train longer"
        )


def _unread(name, config):
    chain = config.optimizer.chain
    readers = [optimizer for optimizer in registry.readers(name) if optimizer not in chain]
    readers += [schedule for schedule in schedules.SCHEDULES if name in schedules.reads(schedule)]
    return (
        f"runs.{name} = {config.runs[name]} is read by nothing in this config (optimizer "
        f"{'+'.join(chain)}, schedule {config.schedule.learning_rate}); "
        f"it belongs to {', '.join(readers)}"
    )
