"""Muon groks before AdamW, and AdamW before the other optimizers, each at its best settings.

Addition mod 97, half of all sums, a network of width 64 (`paper`: 128): every optimizer over a grid
of three learning rates, spaced around what its authors use, and two weight decays; b1 and b2 are .9
and .98 but for SPlus, which has its authors' .999. Muon: Jordan et al., 2024,
https://kellerjordan.github.io/posts/muon/; OrthoGrad: Prieto et al., 2025,
https://arxiv.org/abs/2501.04697; SPlus: Frans et al., 2025, https://arxiv.org/abs/2506.07254;
Lion: Chen et al., 2023, https://arxiv.org/abs/2302.06675; Schedule-Free: Defazio et al., 2024,
https://arxiv.org/abs/2405.15682.
Expected (3 seeds, each at its best): Schedule-Free at step 300, AdamW 500, Muon 700, OrthoGrad and
Lion 900, SPlus 1,100. Takes 46 minutes on one core.
"""

from grokjax import Study, base, grid, run_study

ARMS = {  # optimizer, learning rates, weight decays, what else differs in config.runs
    "adamw": ("adamw", (1e-3, 3e-3, 1e-2), (0.3, 1.0), {}),
    "muon": ("muon", (0.005, 0.02, 0.05), (0.1, 0.3), dict(momentum=0.95)),
    "orthograd": ("orthograd+adamw", (1e-3, 3e-3, 1e-2), (0.0, 0.3), {}),
    "splus": ("splus", (0.05, 0.1, 0.2), (1.0, 5.0), dict(b2=0.999)),
    "lion": ("lion", (1e-4, 3e-4, 1e-3), (3.0, 10.0), {}),
    "schedule_free": ("schedule_free", (1e-3, 2.5e-3, 1e-2), (0.3, 1.0), {}),
}


def arms(size):
    width = 128 if size == "paper" else 64  # smaller where there are many settings
    configs = {}
    for name, (optimizer, rates, decays, others) in ARMS.items():
        configs[name] = config = base(
            task=dict(name="modular", op="add"),
            model=dict(name="transformer", width=width),
            optimizer=optimizer,
        )
        config.schedule.update(num_steps=1500, stop_after_grok=5)
        config.runs = grid(
            config.runs, seed=range(3), learning_rate=rates, weight_decay=decays, **others
        )
        if size == "paper":
            config.schedule.num_steps = 50_000
            config.runs.seed = tuple(range(50))
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
