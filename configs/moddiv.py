"""Division mod 97: memorise, wait, grok.

Power et al., 2022, https://arxiv.org/abs/2201.02177, figure 1: half of all equations,
AdamW with weight decay 1.
Expected: RESULT
Takes TIME on two CPU cores.

    python -m grokjax.train --config configs/moddiv.py
    python -m grokjax.train --config configs/moddiv.py --seeds 64 --workdir results/moddiv64
"""

from grokjax import base


def get_config(choice=""):
    config = base(choice)
    config.schedule.stop_after_grok = 5
    return config
