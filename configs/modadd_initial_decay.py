"""Addition mod 97 with weight decay towards the initial weights.

Power et al., 2022, https://arxiv.org/abs/2201.02177, figure 2, left, there on S_5; `jiggle`:
multiplicative noise. The network is that of `moddiv.py`.
Expected: memorised at step 300; after 3,000 steps validation accuracy is at 5 % (seed 0), where
decay to zero has been at 99 % since step 1,400.
Takes 2 minutes on one CPU core.

    python -m grokjax.train --config configs/modadd_initial_decay.py
    python -m grokjax.train --config configs/modadd_initial_decay.py \
        --config.optimizer.adamw.decay=jiggle
"""

from grokjax import base


def get_config(choice=""):
    config = base(
        choice, task=dict(name="modular", op="add"), optimizer=dict(adamw=dict(decay="initial"))
    )
    config.schedule.update(num_steps=3000, stop_after_grok=5)
    return config
