"""Division and addition by halves with next to no weight decay: 0.001 in place of 1.

The defaults of a public project that trains several operations at once: AdamW at a constant
rate of 0.001, 250,000 steps, seed 42, an evaluation every 50 steps. A run has grokked there
when validation accuracy reaches 95 % more than 1,000 steps after training accuracy did. Its
README does not say where its norms stand nor how its weights are drawn; this is our
transformer, its split and its order of examples.
Expected: training accuracy is at 95 % at step 600, and nothing had grokked when training was
stopped at step 59,200, after 66 minutes on one CPU core. Validation accuracy creeps from 1.4 % at
step 5,000 to 7 % at 42,350. From 20,000 on the training loss is 0 in float32 at most evaluations
while the weights grow, until it jumps back to .05 after 43,500; validation accuracy is then at 4
to 6 %.
At this rate all 250,000 steps would take five hours.

    python -m grokjax.train --config configs/multi_task_defaults.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, task=dict(name="mixture", ops=("div", "add")))
    config.batch_size = "auto"  # 512, or half of the data where that is less
    config.schedule.update(num_steps=250_000, eval_every=50, learning_rate="constant")
    config.grok.rule = "s3"
    config.runs = grid(config.runs, seed=42, mix="50:50", weight_decay=1e-3)
    return config
