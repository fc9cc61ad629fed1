"""Grokfast groks sooner than AdamW at the same learning rate and weight decay.

Grokfast multiplies the slow part of the gradient by 1 + lamb (lamb 2 here), and its authors compare
it with a baseline that has another weight decay. Here every arm has the same grid of learning
rates and decays on division mod 97, half of all equations, by a network of width 64 (`paper`: 128).
AdamW's learning rates include the three times larger one, and `ema_rate` divides Grokfast's by
1 + lamb, as users of it have proposed.
Lee et al., 2024, https://arxiv.org/abs/2405.20233.
Expected (3 seeds a cell): at rate .003 and decay 1, AdamW at step 700, Grokfast-MA at 1,100, EMA at
2,200, `ema_rate` not within 2,500 steps. Takes 75 minutes on one core.
"""

from grokjax import Study, base, grid, run_study

ARMS = {
    "adamw": "adamw",
    "ema": "grokfast_ema+adamw",
    "ma": "grokfast_ma+adamw",
    "ema_rate": "grokfast_ema+adamw+grokfast_rate",
}


def arms(size):
    width = 128 if size == "paper" else 64  # smaller where there are many settings
    configs = {}
    for name, optimizer in ARMS.items():
        configs[name] = config = base(
            model=dict(name="transformer", width=width), optimizer=optimizer
        )
        config.schedule.update(num_steps=2500, stop_after_grok=5, keep=1)
        config.runs = grid(
            config.runs, seed=range(3), learning_rate=(1e-3, 3e-3), weight_decay=(0.3, 1.0)
        )
        if size == "paper":
            config.schedule.num_steps = 100_000
            config.runs = grid(
                config.runs,
                seed=range(50),
                learning_rate=(3e-4, 1e-3, 3e-3),
                weight_decay=(0.0, 0.1, 0.3, 1.0, 3.0),
            )
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
