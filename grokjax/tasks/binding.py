"""Variable binding: assignments, then a query for the value of one variable.

The setting of 10,000 lines of 18 items over five variables; its public file,
https://github.com/ndtippens/grok-tests (varbinding_10000.csv), can be read by `path`.
"""

import os
import string
from pathlib import Path

import numpy as np

from grokjax.core.checks import check_table_size
from grokjax.core.data import Examples, Task
from grokjax.core.hparams import at_least, check_ranges, whole

DIGITS = 10
MAX_ASSIGNMENTS = 1000
NONE = -1  # the value of a variable that has none yet
LETTERS = string.ascii_lowercase
RANGES = {
    "lines": at_least(2),
    "assignments": whole(2, MAX_ASSIGNMENTS),
    "variables": whole(1, len(LETTERS)),
    "seed": at_least(0),
}


def make(
    lines: int = 10_000,  # examples
    assignments: int = 18,  # items of a line, the query included
    variables: int = 5,  # a, b, ...
    seed: int = 0,  # of the lines
    path: str | None = None,  # file of lines; none: they are drawn
) -> Task:
    """Distinct lines of `assignments` items, drawn from `seed` or read from the file `path`.

    Each item but the last gives a variable a digit, or the value that another variable has at
    that moment; half and half, and only variables with a value are copied. The last item
    queries any variable that has a value by then; that value is the label. Tokens 0..9 are the
    digits, and the classes; 10, 11, ... are the variables a, b, ... Equals signs and commas are
    at the same positions in every line and are left out, and so is the label.

        a=3,b=a,a=7,b=3  ->  inputs [10, 3, 11, 10, 10, 7, 11], label 3

    A file has one such line a row, the queried value included, and no header; empty rows are
    skipped. `lines` and `seed` are then not read. In the public file two of five items
    copy, and one in five of these copies the variable itself.
    """
    check_ranges("", locals(), RANGES)
    if path is None:
        rows_NxI = _distinct(lines, assignments, variables, seed)
    else:
        rows_NxI = _read(path, assignments, LETTERS[:variables])
    rows_NxI = rows_NxI.astype(np.int32)
    examples = Examples(inputs_NxL=rows_NxI[:, :-1], labels_N=rows_NxI[:, -1])
    return Task(examples, num_tokens=DIGITS + variables, num_classes=DIGITS)


def _distinct(lines, assignments, variables, seed):
    """[N, 2 * assignments]: random lines, the label last."""
    check_table_size(lines, 2 * assignments - 1)
    without_copies = (DIGITS * variables) ** (assignments - 1)  # at least so many exist
    if lines > without_copies // 2:
        raise ValueError(
            f"lines = {lines} is too many for assignments = {assignments} and variables = "
            f"{variables}; choose at most {without_copies // 2}"
        )
    random = np.random.default_rng(seed)
    rows_NxI = np.zeros((0, 2 * assignments), np.int64)
    while len(rows_NxI) < lines:
        more_NxI = _draw(random, lines, assignments, variables)
        rows_NxI = np.unique(np.concatenate([rows_NxI, more_NxI]), axis=0)
    return random.permutation(rows_NxI)[:lines]


def _draw(random, lines, assignments, variables):
    """[N, 2 * assignments]: random lines, some of which may be equal."""
    line_N = np.arange(lines)
    values_NxV = np.full((lines, variables), NONE)  # V variables
    columns = []
    for _ in range(assignments - 1):
        target_N = random.integers(variables, size=lines)
        copied_NxV = (values_NxV != NONE) & (np.arange(variables) != target_N[:, None])
        source_N = _pick(random, copied_NxV)
        copies_N = copied_NxV.any(axis=1) & (random.random(lines) < 0.5)
        digit_N = random.integers(DIGITS, size=lines)
        columns += [DIGITS + target_N, np.where(copies_N, DIGITS + source_N, digit_N)]
        values_NxV[line_N, target_N] = np.where(copies_N, values_NxV[line_N, source_N], digit_N)
    queried_N = _pick(random, values_NxV != NONE)
    return np.stack([*columns, DIGITS + queried_N, values_NxV[line_N, queried_N]], axis=1)


def _pick(random, allowed_NxV):
    """[N]: one of the columns that are allowed, each as likely as the others."""
    return (random.random(allowed_NxV.shape) * allowed_NxV).argmax(axis=1)


def _read(path, assignments, names):
    """[N, 2 * assignments]: the lines of a file, the label last."""
    file = os.path.expanduser(path)
    if not os.path.isfile(file):
        raise ValueError(f"no file {path!r}; choose a file of lines such as a=3,b=a,b=3")
    try:
        texts = Path(file).read_text("utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{path!r} cannot be read ({error.strerror}); choose another") from error
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8; give lines such as a=3,b=a,b=3") from None
    numbers = {}  # line -> its number in the file
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        try:
            line = tuple(_parse(text.split(","), assignments, names))
            if numbers.setdefault(line, number) != number:
                raise ValueError(f"is line {numbers[line]} again; give every line once")
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    if len(numbers) < 2:
        raise ValueError(f"{path} has {len(numbers)} line(s); give two or more")
    return np.array(list(numbers))


def _parse(items, assignments, names):
    """The tokens of a line, the label last."""
    if len(items) != assignments:
        raise ValueError(f"has {len(items)} item(s); task.assignments = {assignments} are needed")
    tokens = {name: token for token, name in enumerate(string.digits + names)}
    line = []
    values = {}
    for number, item in enumerate(map(str.strip, items), start=1):
        target, equals, source = (part.strip() for part in item.partition("="))
        if not equals:
            raise ValueError(f"{item!r} has no equals sign; write a=3 or a=b")
        for name, choices in ((target, [*names]), (source, [*names, *string.digits])):
            if name not in choices:
                raise ValueError(f"{item!r} has {name!r}; choose from {', '.join(choices)}")
        if number == assignments and source != str(values.get(target)):
            raise ValueError(
                f"ends in {item!r}, but {target} has the value {values.get(target)}; "
                "the last item repeats what a variable is worth"
            )
        if source in names and source not in values:
            raise ValueError(f"{item!r} reads {source} before it has a value")
        values[target] = values.get(source, tokens[source])
        line += [tokens[target], tokens[source]]
    return line
