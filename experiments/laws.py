r"""The delay of grokking is as 1 / (learning rate x weight decay), and shorter with more examples.

Addition mod 97 by the MLP, over a grid of three learning rates, weight decays and shares of
the sums in training, 3 seeds a cell. Truong et al., 2026, https://arxiv.org/abs/2603.13331, have
the delay as 1 / (rate x decay) times the logarithm of a ratio of norms: exponents of -1 for both.
For the share there is no power law published; Power et al., 2022,
https://arxiv.org/abs/2201.02177, find 40 to 50 % more steps for each percent of the data less,
in S_5 from 25 to 30 %.

    python -m grokjax.analyze results/laws/mlp \
        --law "delay ~ learning_rate * weight_decay * train_fraction"

Expected: all 81 runs grok, at step 1,000 to 6,600 (medians of the cells); exponents -1.26 [-1.41,
-1.11] of the rate (-1.10 with Weibull's scatter), -1.00 [-1.14, -.85] of decay, -2.42 [-3.13,
-1.72] of the share.
Takes 9 minutes on two cores.
"""

from grokjax import Study, base, grid, run_study

RATES = (0.0005, 0.001, 0.002)
DECAYS = (0.5, 1.0, 2.0)
FRACTIONS = (0.6, 0.7, 0.8)


def arms(size):
    config = base(task=dict(name="modular", op="add"), model="mlp")
    config.schedule.update(num_steps=20_000, stop_after_grok=5)
    axes = dict(learning_rate=RATES, weight_decay=DECAYS, train_fraction=FRACTIONS)
    config.runs = grid(config.runs, seed=range(3), **axes)
    if size == "paper":
        config.schedule.num_steps = 300_000
        config.runs.seed = tuple(range(20))
    return {"mlp/adamw": config}


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
