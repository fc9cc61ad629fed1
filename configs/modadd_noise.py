"""Addition mod 97 with noise on the updates and on the weights, and no weight decay.

Power et al., 2022, https://arxiv.org/abs/2201.02177, figure 2, left, there on S_5 and for 10^5
steps, the noise on updates with full batches; the network here is that of `moddiv.py`.
Expected: memorised at step 300 to 400 in all four arms; after 3,000 steps validation accuracy
is at 7 % without noise, 13 % with noise on the updates, 36 % with noise on the weights and 45 %
with both (seed 0).
Takes 12 minutes on one CPU core, shared.

    python -m grokjax.train --config configs/modadd_noise.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(
        choice, task=dict(name="modular", op="add"), optimizer="weight_noise+adamw+update_noise"
    )
    config.schedule.update(num_steps=3000, stop_after_grok=5)
    config.runs = grid(
        config.runs,
        weight_decay=0.0,
        weight_noise=(0.0, 0.01),
        update_noise=(0.0, 1.0),
    )
    return config
