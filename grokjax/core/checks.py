"""Checks of a user's values: what was wrong, what was given, what would be right."""

import contextlib
import difflib
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import chex
import jax
import numpy as np

MAX_INT = 2**31 - 1  # steps and rows are counted in int32
MAX_LENGTH = 256  # positions; a program that unrolls many more takes long to compile
MAX_DEPTH = 128  # layers, which are unrolled too
MAX_WIDTH = 2**16
MAX_ROWS = 1_000_000  # of a table that is made
MAX_TOKENS = 100_000_000  # in all rows of it


def check_choice(what: str, value: object, choices: Iterable[str]) -> None:
    """Raises a ValueError that lists the choices unless `value` is one of them."""
    choices = list(choices)
    if value not in choices:
        hint = did_you_mean(value, choices)
        raise ValueError(f"unknown {what} {value!r}; choose from {', '.join(choices)}{hint}")


def check_at_least(what: str, value: float, low: float) -> None:
    """Raises a ValueError unless `value` is a plain number, `low` or more."""
    if isinstance(value, jax.Array):  # which `optax.inject_hyperparams` makes of numbers
        name = what.rpartition(".")[2]
        raise ValueError(
            f"{what} is an array, but decides what is computed; choose a plain number, with "
            f"optax.inject_hyperparams(..., static_args={name!r})"
        )
    if value < low:
        raise ValueError(f"{what} = {value}; choose {low} or more")


def check_between(what: str, value: int, low: int, high: int) -> None:
    """Raises a ValueError unless `value` is `low` to `high`."""
    check_at_least(what, value, low)
    if value > high:
        raise ValueError(f"{what} = {value:,}; choose at most {high:,}")


def is_a(value: Any, wanted: Any) -> bool:
    """Is a value of an annotated type: a class, a union, `tuple[int, ...]`, a Literal?

    A whole number is a float too; a bool is no number.
    """
    if isinstance(wanted, types.UnionType) or typing.get_origin(wanted) is typing.Union:
        return any(is_a(value, one) for one in typing.get_args(wanted))
    if typing.get_origin(wanted) is tuple:
        return isinstance(value, tuple) and all(is_a(x, typing.get_args(wanted)[0]) for x in value)
    if typing.get_origin(wanted) is typing.Literal:
        return value in typing.get_args(wanted)
    if wanted in (int, float):
        return isinstance(value, (int, wanted)) and not isinstance(value, bool)
    return not isinstance(wanted, type) or isinstance(value, wanted)


def check_number(what: str, value: float) -> None:
    """Raises a ValueError for a number that the 32 bits of training do not hold."""
    if isinstance(value, int):
        check_between(what, value, -MAX_INT, MAX_INT)
        return
    with np.errstate(over="ignore", under="ignore"):
        size = abs(np.float32(value))
    if value != 0 and not np.finfo(np.float32).tiny <= size < np.inf:
        raise ValueError(f"{what} = {value}; choose 0 or a size of 1.2e-38 to 3.4e+38, for float32")


def check_length(length: int) -> None:
    """Raises a ValueError for sequences too long for a program that unrolls them."""
    if length > MAX_LENGTH:
        raise ValueError(
            f"sequences of {length} tokens are too long for this model, whose program has a part "
            f"for each; choose a task of at most {MAX_LENGTH} tokens, or model=mlp"
        )


def check_depth(what: str, depth: int) -> None:
    """Raises a ValueError unless there is a layer, and not too many for a program."""
    check_between(what, depth, 1, MAX_DEPTH)


def check_table_size(num_rows: int, length: int) -> None:
    """Raises a ValueError for a table that is too large to be made."""
    if num_rows > MAX_ROWS or num_rows * length > MAX_TOKENS:
        raise ValueError(
            f"a table of {num_rows:,} rows of {length:,} tokens is too large; choose at most "
            f"{MAX_ROWS:,} rows, and {MAX_TOKENS:,} tokens in all"
        )


@contextlib.contextmanager
def of_a_part(line: str) -> Iterator[None]:
    """What chex asserts within the block is about a user's part: a ValueError that says `line`."""
    try:
        yield
    except AssertionError as error:
        raise ValueError(line) from error


def check_alike(what: str, given: Any, wanted: Any) -> None:
    """Raises a ValueError unless two trees have one structure, and leaves of the same shapes."""
    given, wanted = jax.eval_shape(lambda *trees: trees, given, wanted)
    shapes = (jax.tree.map(lambda x: x.shape, tree) for tree in (given, wanted))
    one, other = (textwrap.shorten(str(x), 300) for x in shapes)
    with of_a_part(f"{what}: it has shapes {one}; make them {other}"):
        chex.assert_trees_all_equal_shapes(given, wanted)


def did_you_mean(value: object, choices: Iterable[str], shown: str = "{}") -> str:
    """`; did you mean 'x'?` for the closest choice, shown as that says, or nothing."""
    known = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(str(value).lower(), known, n=1)
    return f"; did you mean {shown.format(known[close[0]])!r}?" if close else ""
