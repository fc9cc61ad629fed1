"""The names of `grokjax` itself: an editor sees them all, and none is loaded before it is used."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import grokjax

STUB = Path(grokjax.__file__).with_suffix(".pyi").read_text()
NAMES = re.findall(r" as (\w+)$", STUB, re.MULTILINE)
TINY = """
config = grokjax.base(task=dict(name="modular", p=7), model=dict(name="mlp", hidden=(5,)))
config.batch_size = 11
config.schedule.update(num_steps=2, eval_every=2, checkpoint_every=2)
assert len(grokjax.train(config).history) == 1
"""


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_stub_is_there(name):
    assert getattr(grokjax, name).__name__ == name
    assert name in dir(grokjax)


@pytest.mark.parametrize(
    "code",
    [
        "import grokjax, sys; assert not {'jax', 'optax', 'matplotlib'} & set(sys.modules)",
        "import grokjax" + TINY,
        "import grokjax.train" + TINY,
        "import grokjax" + TINY + "import grokjax.train; from grokjax.train import train_from",
        "from grokjax.train import train_from; import grokjax" + TINY,
    ],
    ids=["alone", "package", "module", "package then module", "function of the module first"],
)
def test_train_is_a_function_whatever_is_imported_first(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
