"""Addition mod 97 with two hidden layers of 512 and a layer norm before the readout, no attention.

The MLP of a comparison of architectures: four embeddings of 128, ReLU, half of all sums, learning
rate .01, weight decay .01.
Expected: memorised by step 500; after 4,000 steps training loss is at 0.0000 and validation
accuracy at .1 % (seed 0): at this learning rate it does not generalise within these steps;
the comparison trained for 50,000 epochs.
Takes 1 minute on one CPU core.

    python -m grokjax.train --config configs/modadd_mlp_norm.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(
        choice,
        task=dict(name="modular", op="add"),
        model=dict(name="mlp", hidden=(512, 512), layer_norm=True),
    )
    config.schedule.update(num_steps=4000, eval_every=500, checkpoint_every=2000)
    config.schedule.stop_after_grok = 5
    config.runs = grid(config.runs, seed=(0,), learning_rate=0.01, weight_decay=0.01)
    return config
