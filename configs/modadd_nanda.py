"""Addition mod 113 with one block and no norm, from 30 % of all sums.

Nanda et al., 2023, "Progress measures for grokking via mechanistic interpretability",
https://arxiv.org/abs/2301.05217: AdamW with weight decay 1. The authors use full batches
and see validation loss fall between step 9,400 and 14,000; batches of 512 suffice here. Their code
also leaves out the operator's token and the biases of attention, draws all layers but the readout
with deviation 1/sqrt(128), has a logit for the equals sign, and computes the loss in float64.
Expected: memorised at step 1,000 to 1,200, validation accuracy at 99 % at step 5,000, 8,100 and
8,200 for seeds 0 to 2; with `measures=fourier` three key frequencies in the end.
Takes 1 minute on one CPU core for seed 0.

    python -m grokjax.train --config configs/modadd_nanda.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(
        choice,
        task=dict(name="modular", op="add", p=113),
        model=dict(name="transformer", num_blocks=1, norm="none", activation="relu"),
    )
    config.schedule.update(num_steps=20_000, stop_after_grok=5)
    config.runs = grid(config.runs, train_fraction=0.3)
    return config
