"""What became faster or slower: the ratios of the times in two files of `--json`.

    python -m benchmarks.compare OLD.jsonl NEW.jsonl

So one version of jaxlib is judged against another: run the same benchmarks with each, and this.
What is said to differ between the files should be that version alone. The rounds of a row are those
of all lines of a file together. `new / old` is the ratio of the best times, which a noisy machine
disturbs least; below 1, the new one is faster. Of the ratios of all pairs, a new round over an old
one, there are the median and the range that the middle half of them is in.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks.harness import markdown
from grokjax.recording.output import make_steady
from grokjax.running import command_line

Rounds = dict[str, list[float]]  # milliseconds of every round, by the name of what was timed

CHOICES = {"model": "transformer", "batches": "shuffled", "precision": "float32"}  # if none is said
FACTS = ("commit", "device", "cpu", "cores", "devices")
MILLISECONDS = {  # of the entries of a row that hold a number for every round
    "ms": lambda x: x,
    "seconds": lambda x: 1e3 * x,
    "rounds": lambda x: 1e3 / x,  # a second
}


def main(words: Sequence[str] | None = None) -> None:
    """Prints what differs, and the ratios; what is wrong with the files is one line and exit 2.

    Args:
        words: the two files; None: those of the process.
    """
    if words is None:
        make_steady()
        words = sys.argv[1:]
    if {"--help", "-h"} & set(words):
        print(__doc__)
        return
    with command_line.one_line_errors():
        if len(words) != 2:
            raise ValueError(f"{len(words)} files given; give two, OLD.jsonl NEW.jsonl")
        old, new = (read(file) for file in words)
        print(compare(old, new))


def read(file: str) -> list[dict]:
    """The results that `--json` appended to a file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if a line is not one of them.
    """
    with open(file, encoding="utf-8", errors="replace") as text:
        lines = list(text)
    results = []
    for number, line in enumerate(lines, 1):
        try:
            result = json.loads(line)
            rounds_of([result])
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(
                f"{file}, line {number} is damaged, or no result of --json: {line[:40]!r}"
            ) from None
        results.append(result)
    return results


def rounds_of(results: Sequence[Mapping]) -> Rounds:
    """Of all that was timed, the rounds of all results together."""
    found = {}
    for result in results:
        chosen = [result.get(name, usual) for name, usual in CHOICES.items()]
        words = [name for name in chosen if name not in CHOICES.values()]
        words += ["quick"] if result.get("quick") else []
        where = ", ".join([result["benchmark"], *words])
        for row, ms in _timed(result["rows"]):
            found.setdefault(f"{where}: {row}", []).extend(ms)
    return found


def _timed(rows: Mapping) -> Iterator[tuple[str, list[float]]]:
    """The rows that were timed, also those inside of others."""
    for name, row in rows.items():
        if not isinstance(row, Mapping):
            continue
        for entry, milliseconds in MILLISECONDS.items():
            values = row.get(entry)
            values = values if isinstance(values, list) else [values]
            if None in values or 0 in values:  # a seed that did not grok, a package not imported
                continue
            if not values or not all(math.isfinite(x) and x > 0 for x in values):
                raise ValueError(f"{entry} of {name} are {values}")
            yield name, [milliseconds(x) for x in values]
        yield from ((f"{name}, {inner}", ms) for inner, ms in _timed(row))


def compare(old: Sequence[Mapping], new: Sequence[Mapping]) -> str:
    """What differs between two files of results, and the ratios of their times, in Markdown.

    Raises:
        ValueError: if nothing was timed in both.
    """
    facts = [_facts(results) for results in (old, new)]
    names = dict.fromkeys(name for each in facts for name in each)
    both = [[name, *(each.get(name, "-") for each in facts)] for name in names]
    differing = [line for line in both if line[1] != line[2]]
    before, after = rounds_of(old), rounds_of(new)
    common = [name for name in before if name in after]
    if not common:
        raise ValueError("nothing was timed in both files; run the same benchmarks for each")
    parts = [markdown(["what differs", "old", "new"], differing)] if differing else []
    columns = ["best times, ms", "old", "new", "new / old", "median of pairs", "half of them"]
    parts += [markdown(columns, [[name, *_cells(before[name], after[name])] for name in common])]
    for which, names in (("old", before.keys() - after), ("new", after.keys() - before)):
        parts += [f"only in the {which} file: {'; '.join(sorted(names))}"] if names else []
    return "\n\n".join(parts)


def _facts(results):
    """{name: values} of what the results say about the machine and its software."""
    found = {}
    for result in results:
        facts = {name: result.get(name) for name in FACTS}
        facts |= result.get("versions", {}) | result.get("settings", {})
        for name, value in facts.items():
            found.setdefault(name, {})[str(value)] = None
    return {name: " or ".join(values) for name, values in found.items()}


def ratios(old: Sequence[float], new: Sequence[float]) -> tuple[float, float, float, float]:
    """New over old: of the best rounds; of all pairs the median, the lower and upper quartile."""
    pairs = np.divide.outer(new, old)
    lower, middle, upper = np.quantile(pairs, (0.25, 0.5, 0.75))
    return min(new) / min(old), middle, lower, upper


def _cells(old, new):
    best, middle, lower, upper = ratios(old, new)
    times = [
        np.format_float_positional(min(x), 3, unique=False, fractional=False) for x in (old, new)
    ]
    return [*times, f"{best:.3f}", f"{middle:.3f}", f"{lower:.3f} to {upper:.3f}"]


if __name__ == "__main__":
    main()
