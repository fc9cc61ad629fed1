"""Division alone, with addition by halves, and nine to one: does training on both help either?

Batches are divided by largest remainder, 256 + 256 and 461 + 51 of 512; each operation has its
own epochs.
Expected: it does not, within 6,000 steps. Alone, division is at 99 % validation accuracy at
step 1,600 and 2,100 (seeds 0 and 1); by halves at step 4,400 and 3,900, addition at 4,200 and
3,900; nine to one at step 1,700 and 2,100, while addition is not even memorised (3 and 22 % of
its training examples).
Takes 25 minutes on one CPU core.

    python -m grokjax.train --config configs/mixture.py
    python -m grokjax.datasets batches --config configs/mixture.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, task=dict(name="mixture", ops=("div", "add")))
    config.schedule.update(num_steps=6000, stop_after_grok=5)
    config.runs = grid(config.runs, seed=(0, 1), mix=("100:0", "50:50", "90:10"))
    return config
