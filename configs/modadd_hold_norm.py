"""Addition mod 97 with norm-constrained training (constant weight norm), without weight decay.

Liu, Michaud & Tegmark, 2022, https://arxiv.org/abs/2210.01117: norm .8 of the initial one, for the
network and the data of `modadd_nanda.py` in full batches and float64; here for that of `moddiv.py`.
Expected: at half of the initial norm memorised at step 300 and at 99 % validation accuracy at
step 500; at .8 memorised at step 300 and at 79 % after 4,000; at .3 it does not even memorise
(21 %). Seed 0.
Takes 5 minutes on one CPU core, shared.

    python -m grokjax.train --config configs/modadd_hold_norm.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, task=dict(name="modular", op="add"), optimizer="adamw+hold_norm")
    config.schedule.update(num_steps=4000, stop_after_grok=5)
    config.runs = grid(config.runs, weight_decay=0.0, norm_factor=(0.3, 0.5, 0.8))
    return config
