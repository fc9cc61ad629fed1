"""The arithmetic of a training step: its matmuls as JAX sees them, and counted by hand.

A flop is an addition or a multiplication of floating-point numbers; one of each makes two.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
from jax import Array
from jax.extend.core import Jaxpr

from grokjax.models._decoder import Decoder


class Matmul(NamedTuple):
    """A `lax.dot_general`: a product of two arrays over some of their axes."""

    left: jax.ShapeDtypeStruct
    right: jax.ShapeDtypeStruct
    options: tuple  # of `lax.dot_general`, as pairs

    @property
    def flops(self) -> int:
        (_, summed), (_, batch) = dict(self.options)["dimension_numbers"]
        common = math.prod(self.right.shape[axis] for axis in (*summed, *batch))
        return 2 * self.left.size * self.right.size // common

    @property
    def is_of_matrices(self) -> bool:
        """Each side has an axis of its own; else it is a weighted sum, or a scaling."""
        summed, batch = dict(self.options)["dimension_numbers"]
        axes = zip((self.left, self.right), summed, batch, strict=True)
        return all(side.ndim > len(s) + len(b) for side, s, b in axes)

    def __str__(self):
        """Such as `5x[3] [3]x7`: what is summed over stands in brackets."""
        summed, _ = dict(self.options)["dimension_numbers"]
        return f"{_sizes(self.left.shape, summed[0])} {_sizes(self.right.shape, summed[1])}"

    def make(self, x: Array, w: Array) -> Array:
        """The matmul as the program that it was found in computes it."""
        return jax.lax.dot_general(x, w, **dict(self.options))


def matmul(left: tuple[int, ...], right: tuple[int, ...], summed: tuple[int, int]) -> Matmul:
    """A matmul of float32 arrays over one axis of each."""
    sides = (jax.ShapeDtypeStruct(shape, "float32") for shape in (left, right))
    axes = tuple((axis,) for axis in summed)
    return Matmul(*sides, (("dimension_numbers", (axes, ((), ()))),))


def count_matmuls(jaxpr: Jaxpr) -> Counter[Matmul]:
    """How often a program, with the programs inside it, computes each matmul.

    What is in a scan counts as often as it repeats, what is in a `while` once; of the branches
    of a `cond` the most expensive one.
    """
    counted = Counter()
    for equation in jaxpr.eqns:
        inner = [count_matmuls(program) for program in _programs(equation)]
        if equation.primitive.name == "cond":
            inner = [max(inner, key=dot_flops)]
        times = equation.params["length"] if equation.primitive.name == "scan" else 1
        for found in inner:
            counted.update({matmul: times * number for matmul, number in found.items()})
        if equation.primitive.name == "dot_general":
            found = _matmul_of(equation)
            counted.update([found] if found.is_of_matrices else [])
    return counted


def dot_flops(counted: Mapping[Matmul, int]) -> int:
    """Flops of all matmuls together."""
    return sum(number * matmul.flops for matmul, number in counted.items())


def count_by_hand(
    decoder: Decoder, rows_l: Sequence[int], pairs_l: Sequence[int]
) -> dict[str, int]:
    """Flops of a decoder's training step: in its `linear` layers, in its `attention`.

    Every block computes keys and values for all rows of the tree; queries, output projection and
    MLP too, but the last block only for the answers' rows, as the readout. The first block has a
    query, key and value for each pair of token and position, the others for each row. A row at
    position l attends to l + 1 keys. A matmul is computed three times: forward, and for the
    gradient of either side; the first layer is no exception, for its input is trained, too.
    Not counted are norms, softmax, activations, gathers, the loss and the optimizer.

    Args:
        decoder: with the attention and the MLP of `Decoder`.
        rows_l: distinct rows at each position; at the last, as many as there are answers.
        pairs_l: distinct tokens at each position.
    """
    rows, pairs = sum(rows_l), sum(pairs_l)
    answers = rows_l[-1]
    inner = decoder.num_blocks * decoder.block_repeats - 1
    seen = sum(number * length for length, number in enumerate(rows_l, start=1))
    return _flops(
        decoder,
        keys=pairs + inner * rows,
        queries=pairs + (inner - 1) * rows + answers if inner else pairs_l[-1],
        outputs=inner * rows + answers,
        scores=inner * seen + len(rows_l) * answers,
        answers=answers,
    )


def count_plainly(decoder: Decoder, answers: int) -> dict[str, int]:
    """The same where each example has a row at every position, which attends, masked, to all."""
    rows = decoder.num_blocks * decoder.block_repeats * decoder.length * answers
    scores = decoder.length * rows
    return _flops(decoder, keys=rows, queries=rows, outputs=rows, scores=scores, answers=answers)


def _flops(decoder, keys, queries, outputs, scores, answers):
    """From sums over the blocks: rows with a key, a query, an output; scores of all queries."""
    width = decoder.width
    heads = decoder.num_heads * decoder.width_of_head
    linear = width * heads * (2 * keys + queries + outputs)
    linear += 2 * width * decoder.width_of_mlp * outputs
    linear += width * decoder.num_classes * answers
    return {"linear": 3 * 2 * linear, "attention": 3 * 2 * (2 * heads * scores)}


def _programs(equation) -> Iterator:
    """The jaxprs among an equation's parameters."""
    leaves = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
    return filter(_is_program, leaves)


def _is_program(x):
    return hasattr(x, "eqns")


def _matmul_of(equation):
    sides = (jax.ShapeDtypeStruct(x.aval.shape, x.aval.dtype) for x in equation.invars)
    return Matmul(*sides, tuple(equation.params.items()))


def _sizes(shape, summed):
    return "x".join(f"[{n}]" if axis in summed else str(n) for axis, n in enumerate(shape))
