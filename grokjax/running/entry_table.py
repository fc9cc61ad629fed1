"""The entries of a config as a table."""

import inspect
import itertools
import reprlib

from ml_collections import ConfigDict
from rich.table import Table

from grokjax.config import grid, registry, rules
from grokjax.config.config import flat
from grokjax.config.values import declared, parts_of
from grokjax.core.hparams import Range
from grokjax.recording.output import plain_console

Row = tuple[str, str, str, str, str]  # path, value, kind, meaning, range or choices


def rows(config: ConfigDict) -> list[Row]:
    """Every entry of a config, section by section.

    Its kind is static, traced (one value a run) or unread (by nothing in this config). Raises a
    ValueError for an entry that is invalid.
    """
    rules.check_entries(config)
    values = dict(flat(config))
    read = {f"runs.{name}" for name in grid.read_by(config)}
    meanings = {
        f"{section}.{option}": meaning
        for section, part in parts_of(config).items()
        for option, meaning in registry.meanings(*part).items()
    }
    found = []
    for path, entry in declared(config).items():
        value = values.get(path, entry.default)
        kind = "static"
        if path.startswith("runs."):
            kind = "traced" if path in read else "unread"
            value = value[0] if len(value) == 1 else value
        text = value if isinstance(value, str) else reprlib.repr(value)
        found.append((path, text, kind, entry.meaning or meanings[path], f"[{_range(entry)}]"))
    return found


def show(rows: list[Row]) -> None:
    """Prints the table as wide as the terminal; elsewhere one line for each entry, for grep."""
    console = plain_console()
    if not console.is_terminal:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for *cells, allowed in rows:
            print(*map(str.ljust, cells, widths), allowed, sep="  ")
        return
    longest = max(len(path.rpartition(".")[2]) for path, *_ in rows)
    for section, group in itertools.groupby(rows, lambda row: row[0].rpartition(".")[0]):
        table = Table.grid("", "", "", "", padding=(0, 2, 0, 0))
        table.columns[0].min_width = longest
        table.columns[1].width = 16  # of a value, then it is folded
        table.columns[1].overflow = "fold"
        for path, value, kind, meaning, allowed in group:
            table.add_row(path.rpartition(".")[2], value, kind, f"{meaning} {allowed}")
        console.print(f"\n--config.{section}{'.' if section else ''}ENTRY=VALUE", table, sep="\n")


def _range(entry):
    if isinstance(entry.range, Range):
        return entry.range.text
    if entry.range is not None:
        return ", ".join(entry.range)
    type_ = entry.type or type(entry.default)
    return "True, False" if type_ is bool else inspect.formatannotation(type_)
