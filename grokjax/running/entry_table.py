"""The entries of a config as a table."""

import inspect
import itertools
import reprlib
from typing import NamedTuple

from ml_collections import ConfigDict
from rich.table import Table

from grokjax.config import grid, registry
from grokjax.config.config import flat
from grokjax.config.values import ENTRIES, Entry, annotations_of, parts_of
from grokjax.core.hparams import Range
from grokjax.recording.output import plain_console


class Row(NamedTuple):
    """One entry."""

    path: str
    value: str
    kind: str  # static; traced: one value a run; unread: by nothing in this config
    meaning: str
    range: str  # or the choices


def rows(config: ConfigDict) -> list[Row]:
    """Every entry of a config, section by section."""
    values = dict(flat(config))
    types = annotations_of(config)
    read = {f"runs.{name}" for name in grid.read_by(config)}
    found = []
    for path, entry in _entries(config).items():
        value = values.get(path, entry.default)
        kind = "static"
        if path.startswith("runs."):
            kind = "traced" if path in read else "unread"
            value = value[0] if len(value) == 1 else value
        text = value if isinstance(value, str) else reprlib.repr(value)
        allowed = _range(entry, types.get(path, type(entry.default)))
        found.append(Row(path, text, kind, entry.meaning, f"[{allowed}]"))
    return found


def show(rows: list[Row]) -> None:
    """Prints the table as wide as the terminal; elsewhere one line for each entry, for grep."""
    console = plain_console()
    if not console.is_terminal:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print(*map(str.ljust, row[:-1], widths), row.range, sep="  ")
        return
    longest = max(len(row.path.rpartition(".")[2]) for row in rows)
    for section, group in itertools.groupby(rows, lambda row: row.path.rpartition(".")[0]):
        table = Table.grid("", "", "", "", padding=(0, 2, 0, 0))
        table.columns[0].min_width = longest
        table.columns[1].width = 16  # of a value, then it is folded
        table.columns[1].overflow = "fold"
        for path, value, kind, meaning, allowed in group:
            table.add_row(path.rpartition(".")[2], value, kind, f"{meaning} {allowed}")
        console.print(f"\n--config.{section}{'.' if section else ''}ENTRY=VALUE", table, sep="\n")


def _entries(config) -> dict[str, Entry]:
    """What is declared of every entry, by its path."""
    found = {}
    for section, (kind, part) in parts_of(config).items():
        path = "optimizer.chain" if kind == "optimizer" else f"{section}.name"
        behind = f"chosen behind the colon of --config FILE:{kind}=..."
        found[path] = Entry(part, behind, registry.names(kind))
        meanings = registry.meanings(kind, part)
        ranges = registry.ranges(kind, part)
        for name, parameter in registry.options(kind, part).items():
            found[f"{section}.{name}"] = Entry(parameter.default, meanings[name], ranges.get(name))
    for name, hparam in grid.entries(config.optimizer.chain).items():
        found[f"runs.{name}"] = Entry(hparam.values, hparam.meaning, hparam.range)
    return found | ENTRIES


def _range(entry, type_):
    if isinstance(entry.range, Range):
        return entry.range.text
    if entry.range is None:
        return "True, False" if type_ is bool else inspect.formatannotation(type_)
    return ", ".join(entry.range)
