"""Composition in the symmetric group S_5: 120 permutations, 14,400 equations.

Power et al., 2022, https://arxiv.org/abs/2201.02177, figure 1, centre, of which this is one point,
half of all equations; the network is that of `moddiv.py`.
Expected: memorised at step 500, validation accuracy at 99 % at step 3,900 (seed 0).
Takes 70 seconds on two CPU cores.

    python -m grokjax.train --config configs/s5.py
"""

from grokjax import base


def get_config(choice=""):
    config = base(choice, task="permutation")
    config.schedule.num_steps = 10000
    config.schedule.stop_after_grok = 5
    return config
