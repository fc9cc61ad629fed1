"""Three toys: one run, a sweep one run after the other, a sweep in one batch.

In the sweeps some runs stop early, and the rest is compacted.
"""

from grokjax import base, grid


def get_config(kind="solo"):
    config = base(
        task=dict(name="modular", op="div", p=7),
        model=dict(name="mlp", embedding_width=5, hidden=(11,)),
        optimizer="adamw" if kind == "solo" else "grokfast_ma+adamw",
    )
    config.batch_size = 11
    config.schedule.update(num_steps=400, eval_every=5, checkpoint_every=20, eval_block=13, keep=3)
    if kind != "solo":
        config.lift = kind
        config.optimizer.grokfast_ma.window = 3
        config.runs = grid(config.runs, seed=(0, 1, 2), weight_decay=(0.1, 1.0))
        config.grok.update(threshold=0.14, count=1)
        config.schedule.stop_after_grok = 1
    return config
