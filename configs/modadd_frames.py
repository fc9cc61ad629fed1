"""Addition mod 97 with a GPT-2 that has four meta tokens for every token.

Cross-attention both ways in every block (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762).
Expected: memorised at step 500, validation accuracy at 99 % at step 600 (seed 0). At a learning
rate of .001 it is less stable: seeds 0 and 1 reach 99 % at 600 and 1,000 and fall back later,
seed 2 stays below 92 %.
Takes 4 minutes on one CPU core, shared.

    python -m grokjax.train --config configs/modadd_frames.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, task=dict(name="modular", op="add"), model="gpt2_meta")
    config.schedule.update(num_steps=3000, stop_after_grok=5)
    config.runs = grid(config.runs, learning_rate=3e-4)
    return config
