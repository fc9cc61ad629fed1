"""Addition mod 97 with one hidden layer on concatenated embeddings, no attention.

Four embeddings of 128, a hidden layer of 128, ReLU; 80 % of all sums, weight decay .01.
Expected: memorised at step 1,500; validation accuracy stays at 99 % from step 29,500 and 32,500
on for seeds 1 and 2, and hovers around 99 % for seed 0.
Takes 6 minutes on two CPU cores.

    python -m grokjax.train --config configs/modadd_mlp.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, task=dict(name="modular", op="add"), model="mlp")
    config.schedule.update(num_steps=60_000, eval_every=500, checkpoint_every=5000)
    config.schedule.stop_after_grok = 5
    config.runs = grid(config.runs, seed=(0, 1, 2), train_fraction=0.8, weight_decay=0.01)
    return config
