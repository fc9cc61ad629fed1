"""Division mod 97 with Grokfast-MA, and the same runs without it.

Lee et al., 2024, https://arxiv.org/abs/2405.20233: a window of 100 gradients, lamb 2 (there 5); a
gain of 0 is plain AdamW, in the setting of `moddiv.py` instead of theirs (`modmul_grokfast.py`).
Both arms, three seeds each, are one compiled program.
Expected: both grok: validation accuracy is at 99 % at step 1,800, 2,300 and 1,600 without
Grokfast, at 1,600, 2,400 and 1,400 with it. Three seeds are too few to decide.
Takes 15 minutes on two CPU cores.

    python -m grokjax.train --config configs/moddiv_grokfast_ma.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, optimizer=dict(grokfast_ma=dict(window=100), adamw={}))
    config.schedule.stop_after_grok = 5
    config.runs = grid(config.runs, seed=(0, 1, 2), lamb=(0.0, 2.0))
    return config
