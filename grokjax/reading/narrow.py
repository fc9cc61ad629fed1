"""Tables on a terminal that is too narrow for all their columns."""

import re
import shutil
import sys

TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
CELLS = re.compile(r"(?<!\\)\|")  # a name may have \| in it
DROPPED = (  # beginnings of headers, the least important first
    "rank p of",
    "log loss rises",
    "accuracy falls",
    "diverged",
    "of the delay above",
    "validation when memorised",
    "best validation",
    "training accuracy",
    "share",
    "collapsed after",
    "delay",
    "memorised",
    "validation accuracy",
    "runs",
)
MORE = "More columns are in summary.md."


def for_this_terminal(text: str) -> str:
    """A text with Markdown tables, as it is to be printed; a file or a pipe gets all of it."""
    if not sys.stdout.isatty():
        return text
    return narrowed(text, shutil.get_terminal_size().columns)


def narrowed(text: str, width: int) -> str:
    """Its tables without columns, as far as more than `width` letters would be in a line."""
    shown = TABLE.sub(lambda table: _narrowed(table[0], width), text)
    return shown if shown == text else f"{shown.rstrip()}\n\n{MORE}\n"


def _narrowed(table, width):
    lines = [CELLS.split(line)[1:-1] for line in table.splitlines()]
    for beginning in DROPPED:
        if sum(map(len, lines[0])) + len(lines[0]) + 1 <= width:
            break
        kept = [i for i, cell in enumerate(lines[0]) if not cell.strip().startswith(beginning)]
        lines = [[line[i] for i in kept] for line in lines]
    return "".join(f"|{'|'.join(line)}|\n" for line in lines)
