"""What the shape of the house promises: who imports whom, what the core needs, how large it is."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "grokjax"
HEAVY = ("tensorflow_datasets", "clu", "tensorboardX", "ml_collections", "matplotlib", "orbax")
CORE_AND_PARTS = ("core", "tasks", "models", "optimizers", "measures")


def test_a_room_imports_only_from_the_rooms_below_it():
    """The contracts of import-linter in setup.cfg."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_pure_core_and_the_parts_import_without_the_outside():
    """Their imports inside functions are such as no part needs to be built."""
    code = f"""
import sys
for name in {HEAVY}:
    sys.modules[name] = None
import grokjax.core.loop, grokjax.core.trainer
import importlib, pkgutil
for folder in {CORE_AND_PARTS}:
    package = importlib.import_module("grokjax." + folder)
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in ("_downloads", "_published"):
            importlib.import_module("grokjax." + folder + "." + module.name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_house_stays_small():
    """All of it is counted, and the command that is to be read first by itself."""
    files = [path for kind in ("py", "js", "css", "html") for path in PACKAGE.rglob(f"*.{kind}")]
    lines = {path: len(path.read_text().splitlines()) for path in files}
    front = [path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    pure = sum(
        n for path, n in lines.items() if path.relative_to(PACKAGE).parts[0] in CORE_AND_PARTS
    )

    assert len(front) <= 6
    assert pure < 7900
    assert sum(lines.values()) < 21_850
    assert max(lines.values()) <= 280
    assert lines[PACKAGE / "train.py"] < 200
