"""Addition mod 97 when a + b and b + a are on the same side of the split.

A random half of all sums contains the mirror image of every other validation sum.
Expected: memorised at step 200, seed 4 at 1,300; validation accuracy at 99 % at step 1,900, 2,200,
2,200, 1,700 and 2,100 for seeds 0 to 4, where a random split takes 1,400 (seed 0).
Takes 2 minutes on one CPU core.

    python -m grokjax.train --config configs/modadd_symmetric.py
"""

from grokjax import base


def get_config(choice=""):
    config = base(choice, task=dict(name="modular", op="add"))
    config.split.symmetric = True
    config.schedule.stop_after_grok = 5
    return config
