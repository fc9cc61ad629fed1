"""`--show`: every entry of a config with its value, kind, meaning and range; nothing is trained."""

import io
import sys
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import toy
from rich.console import Console

from grokjax.config import registry
from grokjax.config.config import base, flat, load
from grokjax.config.experiment import make_task
from grokjax.config.grid import entries
from grokjax.core.hparams import Range
from grokjax.models import transformer
from grokjax.running import entry_table
from grokjax.tasks import modular
from grokjax.train import prepare

CONFIGS = sorted(Path(__file__).parent.parent.glob("configs/*.py"))
PARTS = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_option_has_a_comment_that_says_what_it_means(kind, name):
    meanings = registry.meanings(kind, name)

    assert list(meanings) == list(registry.options(kind, name))
    assert all(meanings.values()), meanings


def test_every_hyperparameter_says_what_it_means():
    for name, hparam in entries(registry.names("optimizer")).items():
        assert hparam.meaning, name


def test_a_field_of_a_base_means_in_a_model_what_it_does_there():
    meanings = registry.meanings("model", "tokenformer")

    assert meanings["width"] == "of the residual stream"
    assert meanings["norm_kind"] == "bare: a layer norm without parameters"  # another default
    assert meanings["tokens"] == "of each layer of an attention; none: width"


def outside(allowed, default):
    """A value that is not allowed."""
    if isinstance(default, str) or not isinstance(allowed, Range):
        return "nonsense"
    return next(value for value in (-1, 0, 2**20) if not allowed.holds(value))


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_what_a_part_says_that_its_options_may_be_it_checks_by_itself(kind, name):
    module = registry.find(kind, name)
    options = registry.options(kind, name)
    for option, allowed in registry.ranges(kind, name).items():
        default = options[option].default
        value = outside(allowed, default)
        given = {option: (value,) if isinstance(default, tuple) else value}
        with pytest.raises(ValueError, match=f"{option} = |{option} {value!r}"):
            if kind == "model":
                module.Model(num_tokens=5, num_classes=3, length=4, **given)
            elif kind == "task":
                make_task(dict(base(task=name).task) | given)
            elif kind == "measure":
                module.make(modular.make("add", 5), transformer.Model(7, 5, 4), **given)
            else:
                hparams = dict.fromkeys(registry.hparams(name), 0.5)
                module.make(**hparams, **given)


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_every_config_can_be_shown(path):
    config = load(str(path))
    rows = entry_table.rows(config)

    assert {row[0] for row in rows} == {path for path, _ in flat(config)}
    assert all(map(all, rows))  # no cell is empty
    assert {row[2] for row in rows} <= {"static", "traced", "unread"}


def test_a_row_says_value_kind_meaning_and_range():
    config = toy("from_optax")
    config.runs.l1 = (0.0, 0.01)
    config.batch_size = 13
    rows = {row[0]: row[1:] for row in entry_table.rows(config)}

    assert rows["runs.l1"] == (
        "(0.0, 0.01)",
        "traced",
        "weight of the L1 term; 0: none",
        "[0 or more]",
    )
    assert rows["runs.momentum"][:2] == ("0.9", "unread")  # nadamw has none
    assert rows["batch_size"] == (
        "13",
        "static",
        "examples of a step; auto: shrinks with the data",
        "[1 to 1,000,000, or auto]",
    )
    assert rows["split.symmetric"][3] == "[True, False]"
    assert rows["model.norm"][3] == "[pre, post, overwrite, sphere, none]"
    assert rows["task.p"] == ("7", "static", "the modulus, a prime for division", "[2 to 1,000]")


def test_an_entry_that_is_invalid_is_said_instead():
    config = base()
    config.schedule.num_steps = 0

    with pytest.raises(ValueError, match="schedule.num_steps = 0; choose 1 or more"):
        entry_table.rows(config)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_table_fits_the_terminal(monkeypatch, width):
    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=True, color_system=None, highlight=False
    )
    monkeypatch.setattr(entry_table, "plain_console", lambda: console)
    entry_table.show(entry_table.rows(base(optimizer="grokfast_ma+adamw")))
    lines = file.getvalue().splitlines()

    assert max(map(len, lines)) <= width
    assert "--config.runs.ENTRY=VALUE" in lines
    assert any(line.startswith("l1    ") for line in lines)


def test_the_command_shows_the_config_with_its_overrides_and_writes_nothing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    config = f"--config={CONFIGS[0].parent / 'moddiv.py'}"
    words = ["grokjax-train", config, "--config.runs.l1=.01", "--seeds=3", "--show"]
    monkeypatch.setattr(sys, "argv", words)  # where the flags library looks for overrides
    with flagsaver.flagsaver():
        flags.FLAGS(words)
        prepare(None)()
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}

    assert lines["runs.l1"].split()[1:3] == ["0.01", "traced"]
    assert lines["runs.seed"].startswith("runs.seed ")
    assert "(0, 1, 2) traced of initial weights, batches" in " ".join(lines["runs.seed"].split())
    assert lines["runs.seed"].endswith("  [0 to 2**31 - 1]")
    assert not list(tmp_path.iterdir())
