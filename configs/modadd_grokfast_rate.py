"""Addition mod 97 with Grokfast-EMA, the learning rate divided by 1 + lamb.

Lee et al., 2024, https://arxiv.org/abs/2405.20233. The package grokfast-pytorch divides like this,
but its weight decay is not multiplied by the learning rate; here it is.
Expected: both arms memorise; without Grokfast validation accuracy is at 99 % by step 1,900,
with collapses before and since, with it at 3 % after 3,000 steps (seed 0): the smaller rate
also shrinks the weight decay.
Takes 4 minutes on one CPU core, shared.

    python -m grokjax.train --config configs/modadd_grokfast_rate.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(
        choice, task=dict(name="modular", op="add"), optimizer="grokfast_ema+adamw+grokfast_rate"
    )
    config.schedule.update(num_steps=3000, stop_after_grok=5)
    config.runs = grid(config.runs, lamb=(0.0, 2.0))
    return config
