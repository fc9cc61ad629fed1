"""The examples of CONTRIBUTING.md work as they are."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import grokjax
from grokjax.config import registry
from grokjax.core import loop
from grokjax.running import report

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / "README.md").read_text()
FILES = dict(
    re.findall(
        r"^`((?:grokjax|configs)/[\w/]+\.py)` .*?```python\n(.*?)```",
        TEXT,
        re.MULTILINE | re.DOTALL,
    )
)


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """The files of CONTRIBUTING.md as parts of grokjax, for one test."""
    for path, code in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(code)
    for folder in registry.KINDS.values():
        package = importlib.import_module(f"grokjax.{folder}")
        monkeypatch.setattr(
            package, "__path__", [*package.__path__, str(tmp_path / "grokjax" / folder)]
        )
    yield tmp_path
    for path in FILES:
        sys.modules.pop(path.removesuffix(".py").replace("/", "."), None)


def test_the_examples_are_the_ones_expected():
    names = ["tasks/maximum", "models/bag", "optimizers/soft_sign"]

    parts = [f"grokjax/{name}.py" for name in names]
    assert list(FILES) == [*parts, "configs/maximum.py", "grokjax/measures/confidence.py"]


def test_a_measure_of_ones_own_is_taken(examples):
    config = grokjax.base(task="maximum", model="mlp", measures="confidence")
    config.update(batch_size=11)
    config.schedule.update(num_steps=4, eval_every=2, checkpoint_every=4)
    config.runs = grokjax.grid(config.runs, seed=(0, 1, 2))

    confidence_ExR = grokjax.train(config).history["confidence/val"]
    assert confidence_ExR.shape == (2, 3)
    assert np.all((confidence_ExR > 0) & (confidence_ExR < 1))


@pytest.mark.parametrize("optimizer", ["adamw", "soft_sign"])
def test_a_task_a_model_and_an_optimizer_of_ones_own_train(examples, optimizer):
    config = grokjax.load(f"{examples}/configs/maximum.py:optimizer={optimizer}")
    config.task.size = 7
    config.model.width = 5
    config.batch_size = 11
    config.schedule.update(num_steps=60, eval_every=20, checkpoint_every=20)
    experiment = grokjax.setup(config)
    chunks = loop.chunks(experiment.trainer, experiment.runs_R, experiment.dataset, num_steps=60)
    losses = [metrics_R["train_loss"] for _, _, metrics_R in chunks if metrics_R is not None]

    overall = {"runs": 6, "grokked": 0, "median_grok_step": None}
    decays = "weight decay" in report.facts(config, {"overall": overall})

    assert np.shape(losses[-1]) == (6,)
    assert decays == (optimizer == "adamw")  # the other one reads none
    assert np.all(losses[-1] < losses[0])
