"""Addition mod 59 without weight decay: with StableMax learning continues where softmax stalls.

Prieto et al., 2025, https://arxiv.org/abs/2501.04697, figure 4: one-hot codes of the operands,
two hidden layers of 200 without bias, full batches. To be quicker, p is 59 and 70 % of the sums
train (there 113 and 40 %), at a learning rate of .003 (.01); the loss is in float32 (float64), and
eps 1e-8 (1e-25).
Expected: memorised at step 500; validation accuracy is at 41 and 54 % at step 5,000, at 78 and
88 % at 10,000 and at 95 % (median) at 15,000 for seeds 0 and 1, and still rising. With softmax
(the second command) it is below .2 % at step 5,000, measured with a warm-up of ten steps.
Takes 20 minutes on one CPU core, shared.

    python -m grokjax.train --config configs/modadd_stablemax.py
    python -m grokjax.train --config configs/modadd_stablemax.py --config.loss.name=cross_entropy
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(
        choice,
        task=dict(name="modular", op="add", p=59),
        model=dict(name="mlp", code="one_hot", slots=(0, 2), hidden=(200, 200), use_bias=False),
    )
    config.loss.name = "stablemax"
    config.batches = "full"
    config.schedule.update(num_steps=15_000, eval_every=500, checkpoint_every=5000)
    config.runs = grid(
        config.runs,
        seed=(0, 1),
        train_fraction=0.7,
        learning_rate=3e-3,
        weight_decay=0.0,
        warmup=0.0,
        b2=0.999,
    )
    return config
