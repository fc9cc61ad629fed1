"""How near a training step is to what the machine can do: its matmuls, its traffic, the rest.

    python -m benchmarks.roofline
    python -m benchmarks.roofline --quick --json roofline.jsonl

Turns of the step are interleaved with each of its own matmuls, timed by itself, with a large
matmul, and with a loop over an array that no cache holds. So the ceilings are those of this
machine at this hour, and of the very shapes and layouts in the step, for not all reach the same
rate. On a CPU each matmul is also timed as PyTorch computes it, `torch.mm` at the same layout, and
as oneDNN does in the layout that it likes: what other libraries reach is a limit, too.

XLA's bytes are those of every operand of every operation, wherever it lies: a step that needs
more than memory could have brought in its time has found them in a cache.
"""

import functools
import importlib
from collections.abc import Generator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks import flops, harness
from benchmarks.command import Benchmark
from benchmarks.flops import Matmul
from benchmarks.harness import Implementation, markdown
from benchmarks.problem import setup, trace_step
from benchmarks.step_time import grokjax_runs

BY_HAND = "transformer"  # the model whose arithmetic is known as a formula
LIBRARIES = {"torch.mm": "mm", "oneDNN": "onednn"}  # and their functions in `torch_matmul`


def measure(
    config: ConfigDict,
    *,
    steps: int | None = None,
    rounds: int = 7,
    square: int = 2048,
    megabytes: int = 256,
) -> dict[str, dict]:
    """The step and the ceilings as timed, its arithmetic, and what follows from them.

    Args:
        config: of any model; one value for every entry of `config.runs`.
        steps: of a turn, and repetitions of everything else; chosen by `harness.compare` if not
            given.
        rounds: timing rounds, after those that compile and warm up.
        square: rows of the large matmul, of two square matrices.
        megabytes: size of the array that is read and written.
    """
    experiment = setup(config, 1)
    step = trace_step(experiment)
    counted = flops.count_matmuls(step.jaxpr.jaxpr)
    large = flops.matmul((square, square), (square, square), (1, 0))
    implementations = {
        "step": Implementation(functools.partial(grokjax_runs, config, 1)),
        "memory": Implementation(functools.partial(read_and_write, megabytes)),
    }
    for matmul in (large, *counted):
        implementations[str(matmul)] = Implementation(functools.partial(multiply, matmul))
        implementations |= _elsewhere(matmul)
    timed = harness.compare(implementations, steps, rounds)

    rows = {
        "step": timed["step"],
        "memory": timed["memory"] | {"gb_per_s": 2 * megabytes / timed["memory"]["best"]},
        "square": _rated(timed, large, 1),
        "matmuls": {str(m): _rated(timed, m, times) for m, times in counted.items()},
        "arithmetic": {
            "matmuls": flops.dot_flops(counted),
            **_by_xla(step),
            **_by_hand(config, experiment),
        },
    }
    return rows | {"summary": summary(**rows)}


def multiply(matmul: Matmul, times: int) -> Generator[tuple, int | None, None]:
    """Computes a matmul that many times at every `next`, and waits for the last.

    `send(n)` makes them n.
    """
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal(matmul.left.shape), matmul.left.dtype)
    w = jnp.asarray(rng.standard_normal(matmul.right.shape), matmul.right.dtype)

    def again(_, x_and_y):  # each needs a number of the one before, or there would be only one
        x, y = x_and_y
        x = x.at[(0,) * x.ndim].set(1e-3 * y[(0,) * y.ndim])
        return x, matmul.make(x, w)

    y = jax.eval_shape(matmul.make, x, w)
    return _repeat(again, (x, jnp.asarray(np.zeros(y.shape), y.dtype)), times)


def read_and_write(megabytes: int, times: int) -> Generator[jax.Array, int | None, None]:
    """Goes through an array that many times at every `next`, and waits for the last.

    `send(n)` makes them n.
    """
    return _repeat(lambda _, x: x + 1, jnp.zeros(megabytes * 10**6 // 4, jnp.float32), times)


def _repeat(body, x, times):
    repeated = jax.jit(lambda x, times: jax.lax.fori_loop(0, times, body, x), donate_argnums=0)
    while True:
        x = jax.block_until_ready(repeated(x, times))
        times = (yield x) or times


def _elsewhere(matmul):
    """The matmul by other libraries."""

    def start(name, times):
        module = importlib.import_module("benchmarks.torch_matmul")
        return getattr(module, LIBRARIES[name])(matmul, times)

    if jax.default_backend() != "cpu":
        return {}
    return {
        f"{matmul} by {name}": Implementation(functools.partial(start, name), may_fail=True)
        for name in LIBRARIES
    }


def _rated(timed, matmul, times):
    """The row of a matmul, with those of other libraries in `elsewhere`."""

    def rated(row):
        return row if "note" in row else row | {"gflop_per_s": matmul.flops / row["best"] / 1e6}

    names = {name: f"{matmul} by {name}" for name in LIBRARIES}
    elsewhere = {name: rated(timed[known]) for name, known in names.items() if known in timed}
    return rated(timed[str(matmul)]) | {"times": times, "elsewhere": elsewhere}


def _by_xla(step):
    """What XLA counts in the program that it made of a step; None where it does not say."""
    cost = step.lower().compile().cost_analysis() or {}
    return {"xla_flops": cost.get("flops"), "xla_bytes": cost.get("bytes accessed")}


def _by_hand(config, experiment):
    """Of the rows that a step computes, and of all rows; None but for the transformer."""
    if config.model.name != BY_HAND:
        return {"by_hand": None, "plainly": None}
    decoder = experiment.recipe.network
    num_examples = len(experiment.task.examples.labels_N)
    batch_size = num_examples if config.batches == "full" else config.batch_size
    tree = experiment.dataset.tree(decoder, jnp.arange(batch_size), train=True)
    rows, pairs = (list(map(len, of_tree)) for of_tree in (tree.tokens, tree.distinct))
    return {
        "by_hand": flops.count_by_hand(decoder, rows, pairs),
        "plainly": flops.count_plainly(decoder, batch_size),
    }


def summary(
    step: Mapping, memory: Mapping, square: Mapping, matmuls: Mapping, arithmetic: Mapping
) -> dict[str, Any]:
    """What the numbers say together.

    Matmuls alone explain `matmul_ms`; other libraries take `elsewhere_ms` for them, if all were
    timed. Bytes as XLA counts them would take `traffic_ms` to and from memory, partly during the
    matmuls; more than the step itself if caches hold them.
    """
    ms = step["best"]
    xla_bytes = arithmetic["xla_bytes"]
    gflop_per_s = arithmetic["matmuls"] / ms / 1e6
    matmul_ms = sum(row["times"] * row["best"] for row in matmuls.values())
    elsewhere = [(row["times"], row["elsewhere"]) for row in matmuls.values()]
    elsewhere_ms = {
        name: sum(times * rows[name]["best"] for times, rows in elsewhere)
        for name in LIBRARIES
        if all("best" in rows.get(name, {}) for _, rows in elsewhere)
    }
    return {
        "gflop_per_s": gflop_per_s,
        "fraction_of_square": gflop_per_s / square["gflop_per_s"],
        "matmul_ms": matmul_ms,
        "elsewhere_ms": elsewhere_ms,
        "traffic_ms": xla_bytes and xla_bytes / memory["gb_per_s"] / 1e6,
        "unexplained_ms": ms - matmul_ms,
    }


def table(rows: Mapping[str, Mapping]) -> str:
    """The rows of `measure` as Markdown: the ceilings, the counts, the time."""
    return "\n\n".join(part(**rows) for part in (_ceilings, _counts, _times))


def _ceilings(square, matmuls, memory, **_):
    large = {"a large one": {**square, "times": "-"}}
    lines = [
        [name, f"{row['times']}", f"{row['best']:.3f}", *_rates(row)]
        for name, row in {**matmuls, **large}.items()
    ]
    columns = ["matmul, [summed]", "per step", "ms", "GFLOP/s", *LIBRARIES]
    shown = markdown(columns, lines)
    return f"{shown}\n\nmemory, read and written: {memory['gb_per_s']:.1f} GB/s"


def _rates(row):
    """GFLOP/s here and in other libraries."""
    rates = [row, *(row["elsewhere"].get(name, {}) for name in LIBRARIES)]
    return [f"{x['gflop_per_s']:.1f}" if "gflop_per_s" in x else x.get("note", "") for x in rates]


def _counts(arithmetic, **_):
    counts = {"its matmuls": arithmetic["matmuls"], "by XLA": arithmetic["xla_flops"]}
    if arithmetic["by_hand"]:
        counts |= {f"by hand, {part}": flop for part, flop in arithmetic["by_hand"].items()}
        counts["all rows at all positions"] = sum(arithmetic["plainly"].values())
    lines = [[name, f"{flop / 1e6:.1f}"] for name, flop in counts.items() if flop]
    return markdown(["a step", "MFLOP"], lines)


def _times(step, summary, **_):
    parts = {
        "a step": step["best"],
        "its matmuls alone": summary["matmul_ms"],
        **{f"its matmuls by {name}": ms for name, ms in summary["elsewhere_ms"].items()},
        "all else": summary["unexplained_ms"],
        "XLA's bytes": summary["traffic_ms"],
    }
    lines = [[name, f"{ms:.3f}", f"{ms / step['best']:.0%}"] for name, ms in parts.items() if ms]
    shown = markdown(["time", "ms", "of the step"], lines)
    rate = f"{summary['gflop_per_s']:.1f} GFLOP/s, {summary['fraction_of_square']:.0%}"
    return f"{shown}\n\nthe step's matmuls in its time: {rate} of the large matmul's"


BENCHMARK = Benchmark(
    "roofline",
    __doc__,
    measure,
    table,
    quick={"steps": 2, "rounds": 2, "square": 128, "megabytes": 4},
)

if __name__ == "__main__":
    BENCHMARK.main()
