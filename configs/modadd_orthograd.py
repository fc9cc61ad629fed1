"""Addition mod 113 with OrthoGrad: no weight decay, and hardly any delay.

Prieto et al., 2025, https://arxiv.org/abs/2501.04697, figure 1: one-hot codes of the two
operands, two hidden layers of 200 without bias, full batches, 40 % of the sums for training. b2 is
.98 (in the authors' code .999, which its wrapper falls back to).
Expected: validation accuracy is at 97 % at step 120, 150, 140, 100 and 120 for seeds 0 to 4,
0 to 30 steps after training accuracy; the paper's figure has it at about 110.
Takes 2 minutes on two CPU cores.

    python -m grokjax.train --config configs/modadd_orthograd.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(
        choice,
        task=dict(name="modular", op="add", p=113),
        model=dict(name="mlp", code="one_hot", slots=(0, 2), hidden=(200, 200), use_bias=False),
        optimizer="orthograd+adamw",
    )
    config.batches = "full"
    config.schedule.update(num_steps=300, eval_every=10, checkpoint_every=100)
    config.grok.threshold = 0.97
    config.runs = grid(
        config.runs,
        seed=(0, 1, 2, 3, 4),
        train_fraction=0.4,
        learning_rate=0.01,
        weight_decay=0.0,
        warmup=0.0,
    )
    return config
