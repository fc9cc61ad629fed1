"""Division mod 97 with Grokfast-EMA, and the same runs without it.

Lee et al., 2024, https://arxiv.org/abs/2405.20233: alpha .98, lamb 2; a gain of 0 is plain
AdamW, in the setting of `moddiv.py` instead of theirs (`modmul_grokfast.py`). Both arms, three
seeds each, are one compiled program.
Expected: both grok, and Grokfast is no faster here: validation accuracy is at 99 % at step
1,800, 2,300 and 1,600 without it, at 2,300, 2,000 and 2,300 with it, and it memorises later
(500 to 700 instead of 300).
Takes 5 minutes on two CPU cores.

    python -m grokjax.train --config configs/moddiv_grokfast_ema.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, optimizer="grokfast_ema+adamw")
    config.schedule.stop_after_grok = 5
    config.runs = grid(config.runs, seed=(0, 1, 2), alpha=0.98, lamb=(0.0, 2.0))
    return config
