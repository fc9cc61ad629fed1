"""Who may import whom, and what the pure core must not need."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "grokjax"

LAYERS = [  # each may import the layers above it, and in its own row only what is said below
    {
        "files",
        "locks",
        "weights",
        "statistics",
        "checks",
        "run",
        "data",
        "mix",
        "table",
        "evaluation",
        "split",
        "batches",
        "metrics",
        "arithmetic",
        "schedules",
        "optimizer",
        "prefixes",
    }
    | {"layers", "losses", "positions", "attention", "decoder"},
    {"tasks", "models", "optimizers"},
    {"lookup"},
    {"runs"},
    {"config", "trainer", "devices"},
    {"validation", "loop"},
    {"experiment", "summary", "memory"},
    {"checkpoints", "writers", "pictures", "interrupts", "console"},
    {"results", "command_line"},
    {"journal", "resume", "report", "comparison", "inspection"},
    {"shares"},
    {"request", "meeting", "tally", "downloads", "studies"},
    {"turns"},
    {"train", "datasets", "analyze", "checkpoint_tool"},
]
ROOMS_OF_SEVERAL = {
    "pictures",
    "comparison",
    "inspection",
    "studies",
}  # whose modules belong together
WITHIN = {
    ("split", "data"),
    ("split", "run"),
    ("batches", "split"),
    *(("evaluation", name) for name in ("data", "split")),
    *(("table", name) for name in ("data", "prefixes", "split")),
    ("attention", "positions"),
    ("attention", "prefixes"),
}
WITHIN |= {("decoder", name) for name in ("attention", "checks", "layers", "positions", "prefixes")}
ALMOST_ALONE = {"checkpoints", "writers", "pictures", "interrupts", "console", "run", "checks"}
HEAVY = ("tensorflow_datasets", "clu", "tensorboardX", "ml_collections", "matplotlib", "orbax")


def room(path):
    """The first part of a module's path inside the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Rooms that a module imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "grokjax":
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("grokjax."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (n.name.split(".")[1] for n in node.names if n.name.startswith("grokjax."))


MODULES = [p for p in sorted(PACKAGE.rglob("*.py")) if p.name != "__init__.py"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_imports_only_from_the_layers_above_it(path):
    floor = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    here = room(path)
    for other in imports(path):
        if other == here and here in ROOMS_OF_SEVERAL:
            continue
        assert floor[other] < floor[here] or (here, other) in WITHIN, f"{here} imports {other}"
        assert here not in ALMOST_ALONE or other in ("statistics", "metrics")


def test_every_module_has_its_room_in_the_table():
    assert {room(path) for path in MODULES} <= set.union(*LAYERS)


def test_the_pure_core_imports_without_the_outside():
    code = f"""
import sys
for name in {HEAVY}:
    sys.modules[name] = None
import grokjax.loop, grokjax.trainer, grokjax.metrics
from grokjax import lookup
for kind in lookup.KINDS:
    for name in lookup.names(kind):
        lookup.find(kind, name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_house_stays_small():
    """Its front rooms together, each module by itself, and the command that is to be read first."""
    lines = {path: len(path.read_text().splitlines()) for path in MODULES}
    plug_ins = [p for p in MODULES if p.parent.name in ("tasks", "models", "optimizers")]

    assert sum(lines[path] for path in MODULES if path.parent == PACKAGE) < 5500
    assert max(lines[path] for path in plug_ins) <= 150
    assert max(lines.values()) <= 260
    assert len((PACKAGE / "train.py").read_text().splitlines()) < 100
