"""Addition mod 97 with one hidden layer on concatenated embeddings, no attention.

The network and the data of https://github.com/enerrio/grokking-mlp: four embeddings of 128, a
hidden layer of 128, ReLU, Kaiming's normal initialisation, biases from zero; 80 % of all sums,
batches of 512, AdamW with weight decay .01. On purpose there is no logit for the operator and the
equals sign, no ragged last batch, a warm-up of ten steps, and the loss is computed in float32
(theirs in float64: `--config.loss.precision=float64`).
Expected: memorised at step 2,000, with validation accuracy at 30 to 34 %; validation accuracy stays
at 99 % from step 77,500, 103,500 and 85,500 on for seeds 0 to 2. There is no plateau: half of that
time it is above 90 %.
Takes 21 minutes on two CPU cores that are busy otherwise.

    python -m grokjax.train --config configs/modadd_mlp.py
"""

from grokjax import base, grid


def get_config(choice=""):
    network = dict(name="mlp", initializer="kaiming_normal")
    config = base(choice, task=dict(name="modular", op="add"), model=network)
    config.schedule.update(num_steps=120_000, eval_every=500, checkpoint_every=5000)
    config.schedule.stop_after_grok = 5
    config.runs = grid(config.runs, seed=(0, 1, 2), train_fraction=0.8, weight_decay=0.01)
    return config
