"""Division mod 97: memorise, wait, grok.

Power et al., 2022, https://arxiv.org/abs/2201.02177: half of all equations, AdamW with weight decay
1. On purpose another network than theirs, which is `modadd_power.py`: norms before attention and
MLP, GELU. Their figure 1, left, is this table without weight decay, which takes 10^5 steps or more.
Expected: training accuracy is at 99 % at step 300, validation accuracy at step 1,800, 2,300,
1,900, 1,700 and 1,600 for seeds 0 to 4.
Takes 40 seconds a seed on two CPU cores, cold start and figures included.

    python -m grokjax.train --config configs/moddiv.py
    python -m grokjax.train --config configs/moddiv.py --seeds 64 --workdir results/moddiv64
"""

from grokjax import base


def get_config(choice=""):
    config = base(choice)
    config.schedule.stop_after_grok = 5
    return config
