"""How near a training step is to what the machine can do: its products, its traffic, the rest.

    python -m benchmarks.roofline
    python -m benchmarks.roofline --quick --json roofline.jsonl

The step takes turns with each of its own matrix products, alone, with a large product, and with
a loop over an array that no cache holds. So the ceilings are those of this machine at this
hour, and of the very sizes and orientations in the step, for not all reach the same rate.

XLA's bytes are those of every operand of every operation, wherever it lies: a step that needs
more than memory could have brought in its time has found them in a cache.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks import flops, harness
from benchmarks.flops import Product
from benchmarks.harness import Contender
from benchmarks.one_step import one_step
from benchmarks.step_time import grokjax_runs

STEPS = 9  # of one turn: an epoch of division mod 97
ROUNDS = 7
SQUARE = 2048
MEGABYTES = 256
BY_HAND = "transformer"  # the model whose arithmetic is known as a formula


def measure(
    config: ConfigDict,
    *,
    steps: int = STEPS,
    rounds: int = ROUNDS,
    square: int = SQUARE,
    megabytes: int = MEGABYTES,
) -> dict[str, dict]:
    """The step and the ceilings as timed, its arithmetic, and what follows from them.

    Args:
        config: of any model; one value for every entry of `config.runs`.
        steps: of one turn, and how often a turn repeats everything else.
        rounds: turns of each, after one that compiles and one that warms up.
        square: rows of the large product, of two square matrices.
        megabytes: size of the array that is read and written.
    """
    experiment = harness.setup(config, 1)
    step = one_step(experiment)
    counted = flops.count_products(step.jaxpr())
    large = flops.product((square, square), (square, square), (1, 0))
    contenders = {
        "step": Contender(lambda: grokjax_runs(config, 1, steps)),
        "memory": Contender(lambda: read_and_write(megabytes, steps)),
    }
    for product in (large, *counted):
        contenders[str(product)] = Contender(functools.partial(multiply, product, steps))
    timed = harness.compare(contenders, steps, rounds)

    rows = {
        "step": timed["step"],
        "memory": timed["memory"] | {"gb_per_s": 2 * megabytes / timed["memory"]["best"]},
        "square": _rated(timed, large, 1),
        "products": {str(p): _rated(timed, p, times) for p, times in counted.items()},
        "arithmetic": {
            "products": flops.dot_flops(counted),
            **_by_xla(step),
            **_by_hand(config, experiment),
        },
    }
    return rows | {"summary": summary(**rows)}


def multiply(product: Product, times: int) -> Iterator[tuple]:
    """Makes a product that many times at every `next`, and waits for the last."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(side.shape) for side in (product.left, product.right))
    x, w = jnp.asarray(x, product.left.dtype), jnp.asarray(w, product.right.dtype)

    def again(_, x_and_y):  # each needs a number of the one before, or there would be only one
        x, y = x_and_y
        x = x.at[(0,) * x.ndim].set(1e-3 * y[(0,) * y.ndim])
        return x, product.make(x, w)

    y = jax.eval_shape(product.make, x, w)
    return _repeat(again, (x, jnp.asarray(np.zeros(y.shape), y.dtype)), times)


def read_and_write(megabytes: int, times: int) -> Iterator[jax.Array]:
    """Goes through an array that many times at every `next`, and waits for the last."""
    return _repeat(lambda _, x: x + 1, jnp.zeros(megabytes * 10**6 // 4, jnp.float32), times)


def _repeat(body, x, times):
    turn = jax.jit(lambda x: jax.lax.fori_loop(0, times, body, x), donate_argnums=0)
    while True:
        x = jax.block_until_ready(turn(x))
        yield x


def _rated(timed, product, times):
    row = timed[str(product)]
    return row | {"times": times, "gflop_per_s": product.flops / row["best"] / 1e6}


def _by_xla(step):
    """What XLA counts in the program that it made of a step; None where it does not say."""
    cost = step.compile().cost_analysis() or {}
    return {"xla_flops": cost.get("flops"), "xla_bytes": cost.get("bytes accessed")}


def _by_hand(config, experiment):
    """Of the rows that a step computes, and of all rows; None but for the transformer."""
    if config.model.name != BY_HAND:
        return {"by_hand": None, "plainly": None}
    decoder = experiment.recipe.network
    num_examples = len(experiment.task.examples.labels_N)
    batch_size = num_examples if config.batches == "full" else config.batch_size
    tree = experiment.dataset.tree(decoder, jnp.arange(batch_size), train=True)
    return {
        "by_hand": flops.count_by_hand(decoder, [len(token_M) for token_M in tree.tokens]),
        "plainly": flops.count_plainly(decoder, batch_size),
    }


def summary(step: Mapping, memory, square, products, arithmetic) -> dict[str, float | None]:
    """What the numbers say together; a share is one of the step's time.

    Products alone explain `products_ms`. Bytes as XLA counts them would take `traffic_ms` to and
    from memory, partly beside the products; more than the step itself if caches hold them.
    """
    ms, bytes_ = step["best"], arithmetic["xla_bytes"]
    products_ms = sum(row["times"] * row["best"] for row in products.values())
    traffic_ms = bytes_ and bytes_ / memory["gb_per_s"] / 1e6
    return {
        "gflop_per_s": arithmetic["products"] / ms / 1e6,
        "share_of_square": arithmetic["products"] / ms / 1e6 / square["gflop_per_s"],
        "products_ms": products_ms,
        "products_share": products_ms / ms,
        "traffic_ms": traffic_ms,
        "traffic_share": traffic_ms and traffic_ms / ms,
        "unexplained_ms": ms - products_ms,
    }


def table(rows: Mapping[str, Mapping]) -> str:
    """The rows of `measure` for a reader."""
    return "\n\n".join(part(**rows) for part in (_ceilings, _counts, _shares))


def _ceilings(square, products, memory, **_):
    width = max(map(len, products))
    lines = [f"{'product, [summed]':<{width}}{'a step has':>12}{'ms':>9}{'GFLOP/s':>9}"]
    for name, row in products.items():
        lines.append(_ceiling(f"{name:<{width}}{row['times']:>12}", row))
    lines.append(_ceiling(f"{'a large one':<{width}}{'-':>12}", square))
    return "\n".join([*lines, f"memory, read and written: {memory['gb_per_s']:.1f} GB/s"])


def _ceiling(head, row):
    return f"{head}{row['best']:>9.3f}{row['gflop_per_s']:>9.1f}"


def _counts(arithmetic, **_):
    counts = {"its products": arithmetic["products"], "by XLA": arithmetic["xla_flops"]}
    if arithmetic["by_hand"]:
        by_hand, plainly = (arithmetic[name] for name in ("by_hand", "plainly"))
        counts |= {f"by hand, {part}": flop for part, flop in by_hand.items()}
        counts["all rows at all positions"] = sum(plainly.values())
    lines = [f"{name:<28}{flop / 1e6:>9.1f}" for name, flop in counts.items() if flop]
    return "\n".join([f"{'MFLOP of a step':<28}", *lines])


def _shares(step, summary, **_):
    parts = {"a step": step["best"], "its products alone": summary["products_ms"]}
    parts |= {"all else": summary["unexplained_ms"], "XLA's bytes": summary["traffic_ms"]}
    lines = [f"{'time':<28}{'ms':>9}{'share':>9}"]
    for name, ms in parts.items():
        if ms:
            lines.append(f"{name:<28}{ms:>9.3f}{ms / step['best']:>9.0%}")
    rate = f"{summary['gflop_per_s']:.1f} GFLOP/s, {summary['share_of_square']:.0%} of the large"
    return "\n".join([*lines, f"the step's products in its time: {rate} product's"])


COMMAND = harness.Command(
    "roofline",
    __doc__,
    steps=(STEPS, "training steps of one turn"),
    rounds=(ROUNDS, "turns of the step and of each ceiling"),
    square=(SQUARE, "rows of the large product"),
    megabytes=(MEGABYTES, "size of the array that is read and written"),
)
QUICK = {"rounds": 2, "square": 128, "megabytes": 4}


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints the tables and appends the numbers to a file if asked to."""
    COMMAND.run(argv, measure, table, quick=QUICK)


if __name__ == "__main__":
    main()
