"""Addition mod 97 with a GPT-2 whose second block mixes in the values of the first.

Zhou et al., 2024, https://arxiv.org/abs/2410.17897; `svformer` shares the first block's values.
In the authors' code, a LLaMA, both shares are 1/2 for good; here they are learned from there.
Expected: memorised at step 300, validation accuracy at 99 % at step 300, 600 and 400 for seeds
0, 1 and 2; seed 1 collapses later. SVFormer (the second command): 300 and 400 for seeds 0 and
1, no delay.
Takes 2 minutes on one CPU core.

    python -m grokjax.train --config configs/modadd_resformer.py
    python -m grokjax.train --config configs/modadd_resformer.py --config.model.variant=svformer
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, task=dict(name="modular", op="add"), model="gpt2_resv")
    config.schedule.stop_after_grok = 5
    config.runs = grid(config.runs, seed=(0, 1, 2))
    return config
