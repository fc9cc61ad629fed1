"""Grokfast-MA brings grokking forward in every architecture.

Division mod 97, half of all equations, with and without Grokfast-MA (window 100, lamb 2; Lee et
al., 2024, https://arxiv.org/abs/2405.20233), for the transformer, GPT-2, ResFormer and SVFormer
(Zhou et al., 2024, https://arxiv.org/abs/2410.17897), GPT-2 with meta tokens and TokenFormer (Wang
et al., 2024, https://arxiv.org/abs/2410.23168); `configs/modadd_gpt2.py`, `modadd_resformer.py` and
`modadd_tokenformer.py` say what differs from the authors' code.
Expected (3 seeds, 4,000 steps, without and with it): transformer 1,800 and 1,600, GPT-2 400 and
700, ResFormer 500 and 700, SVFormer 400 and 500, meta tokens 1,300 and 1,000 (2 of 3), TokenFormer
3,700 and 3,800 (2 of 3 each). Takes at most 160 minutes on one core.
"""

from grokjax import Study, base, grid, run_study

MODELS = {
    "transformer": "transformer",
    "gpt2": "gpt2",
    "resformer": "gpt2_resv",
    "svformer": dict(name="gpt2_resv", variant="svformer"),
    "gpt2_meta": "gpt2_meta",
    "tokenformer": "tokenformer",
}
OPTIMIZERS = {"baseline": "adamw", "ma": "grokfast_ma+adamw"}


def arms(size):
    configs = {}
    for part, model in MODELS.items():
        for name, optimizer in OPTIMIZERS.items():
            config = base(model=model, optimizer=optimizer)
            config.schedule.update(num_steps=4000, stop_after_grok=5, keep=1)
            config.runs = grid(config.runs, seed=range(3))
            if size == "paper":
                config.schedule.num_steps = 50_000
                config.runs.seed = tuple(range(100))
            configs[f"{part}/{name}"] = config
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
