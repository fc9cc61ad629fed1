"""Addition mod 97 without the sums 0 to 19 in training: an unseen class is never predicted.

The network of `modadd_mlp.py`, whose source holds out these sums in its third experiment;
validation examples are those whose class is held out.
Expected: memorised at step 1,500; after 20,000 steps validation accuracy is 0.00 % for seeds 0,
1 and 2.
Takes 2 minutes on one CPU core.

    python -m grokjax.train --config configs/held_out_answers.py
"""

from grokjax import base, grid


def get_config(choice=""):
    network = dict(name="mlp", initializer="kaiming_normal")
    config = base(choice, task=dict(name="modular", op="add"), model=network)
    config.split.held_out = tuple(range(20))
    config.schedule.update(num_steps=20_000, eval_every=500, checkpoint_every=5000)
    config.runs = grid(config.runs, seed=(0, 1, 2), train_fraction=1.0, weight_decay=0.01)
    return config
