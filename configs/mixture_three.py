"""Division, addition and subtraction in one network, a third of every batch each.

Batches of 512 hold 171, 171 and 170 examples.
Expected: seed 0 memorises at step 3,000 and is at 99 % validation accuracy at step 3,500, in
all three tasks; seed 1 memorises at 5,600 and stays between 97 and 99 % for the rest of 8,000
steps. Both collapse and recover several times.
Takes 9 minutes on one CPU core.

    python -m grokjax.train --config configs/mixture_three.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, task=dict(name="mixture", ops=("div", "add", "sub")))
    config.schedule.update(num_steps=8000, stop_after_grok=5)
    config.runs = grid(config.runs, seed=(0, 1), mix="1:1:1")
    return config
