"""What is installed: the package, and in it the configs and the studies."""

import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import grokjax
from grokjax.config import config as config_lib

ROOT = Path(__file__).parent.parent
SOURCES = ("grokjax", "configs", "experiments")
FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def python_files():
    """Paths in an installed package of the files that are in this folder."""
    inside = {
        "grokjax": "grokjax",
        "configs": "grokjax/configs",
        "experiments": "grokjax/experiments",
    }
    return {
        f"{inside[source]}/{path.relative_to(ROOT / source)}"
        for source in SOURCES
        for path in (ROOT / source).rglob("*.py")
    }


def test_every_folder_of_the_package_is_installed():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    listed = settings["options"]["packages"].split()

    folders = {str(Path(name).parent).replace("/", ".") for name in python_files()}
    assert listed == sorted(folders)


@pytest.mark.slow
def test_a_wheel_holds_the_configs_and_the_studies_inside_the_package(tmp_path):
    for source in SOURCES:
        kept = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / source, tmp_path / "source" / source, ignore=kept)
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", tmp_path, "./source"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}

    files = [path.name for path in (ROOT / "grokjax/reading/page").glob("*.*")]
    page = {f"grokjax/reading/page/{name}" for name in files if not name.endswith(".py")}
    assert names == {*python_files(), *page, "grokjax/py.typed", "grokjax/__init__.pyi"}


def test_a_config_that_is_not_here_is_the_one_that_comes_with_grokjax(tmp_path, monkeypatch):
    shipped = grokjax.load(str(ROOT / "configs/modadd_mlp.py"))
    arm = grokjax.load(f"{ROOT}/experiments/l1_grokfast.py:division/l1")
    monkeypatch.chdir(tmp_path)

    assert grokjax.load("configs/modadd_mlp.py").to_json() == shipped.to_json()
    assert grokjax.load("configs/modadd_mlp.py:model=lstm").model.name == "lstm"
    assert grokjax.load("experiments/l1_grokfast.py:division/l1").to_json() == arm.to_json()
    Path("configs").mkdir()
    Path("configs/modadd_mlp.py").write_text("from grokjax import base as get_config")
    assert grokjax.load("configs/modadd_mlp.py").to_json() == grokjax.base().to_json()


@pytest.mark.parametrize(
    ("name", "hint"),
    {
        "configs/modiv.py": "; did you mean 'configs/moddiv.py'?",
        "moddiv": "; did you mean 'configs/moddiv.py'?",
        "experiments/l1_grokfst.py:division/l1": "; did you mean 'experiments/l1_grokfast.py'?",
        "elsewhere/nothing_alike.py": "",
    }.items(),
)
def test_a_config_that_there_is_not_is_an_error_that_names_those_that_there_are(name, hint):
    with pytest.raises(ValueError, match="no config file") as error:
        grokjax.load(name)

    assert str(error.value).endswith(hint or "sums")
    folder = "experiments" if name.startswith("experiments/") else "configs"
    assert f"{folder}/NAME.py" in str(error.value)
    known = re.split(r"[ ,;]+", str(error.value))
    assert {path.stem for path in ROOT.glob(f"{folder}/[!_]*.py")} <= set(known)


def test_an_installed_package_has_its_configs_inside(tmp_path, monkeypatch):
    package = tmp_path / "site-packages/grokjax"
    monkeypatch.setattr(config_lib, "__file__", str(package / "config/config.py"))
    assert config_lib.shipped("configs") == tmp_path / "site-packages/configs"
    (package / "configs").mkdir(parents=True)
    assert config_lib.shipped("configs") == package / "configs"
