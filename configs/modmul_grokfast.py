"""Multiplication mod 97 in the setting of the Grokfast paper, with and without its filter.

Lee et al., 2024, https://arxiv.org/abs/2405.20233, table 3: a decoder whose residual stream is
replaced by its norm, Adam with weight decay in the gradient. The authors report 95 % validation
accuracy at step 910 with Grokfast-EMA, alpha .98, lamb 2 and weight decay .005, one seed; their
slow baseline, step 39,890, has no weight decay, which here is the same in both arms. Their code
leaves out y = 0, which makes 9,312 equations; here there are all 9,409.
Expected: memorised at step 750 and 800 without and at 600 with Grokfast; validation accuracy stays
at 95 % from step 1,100 and 1,450 on without, from 1,550 and 1,250 on with it (seeds 0 and 1): at
equal weight decay the filter gains nothing.
Takes 11 minutes on one CPU core that is busy otherwise.

    python -m grokjax.train --config configs/modmul_grokfast.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(
        choice,
        task=dict(name="modular", op="mul"),
        model=dict(name="transformer", norm="overwrite", initializer="torch_attention"),
        optimizer="grokfast_ema+adam",
    )
    config.grok.threshold = 0.95
    config.schedule.update(num_steps=3000, eval_every=50, stop_after_grok=10)
    config.runs = grid(config.runs, seed=(0, 1), weight_decay=0.005, lamb=(0.0, 2.0))
    return config
