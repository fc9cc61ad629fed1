"""An L1 term and Grokfast each bring grokking forward, and together more than either alone.

Six arms on division mod 97 and on composition in S_5, each trained on 40 % of the equations:
AdamW alone; with an L1 term of weight .005 (sum |w| / ||w||, the norm a constant in the gradient);
with Grokfast-EMA (alpha .98, lamb 2) and Grokfast-MA (window 100, lamb 2), Lee et al., 2024,
https://arxiv.org/abs/2405.20233; and with both. The claim is that of https://github.com/ndtippens/grok-tests,
from one seed. Nanda et al., 2023, https://arxiv.org/abs/2301.05217, report that an L1 term in place
of weight decay never groks; here it comes on top of weight decay 1.

That project claims besides that curves are smoother with L1 and that Grokfast is steadier by EMA
than by MA. The roughness of an arm's curves (grokjax/reading/roughness.py) is in its table: the
accuracy lost and the rise of the logarithm of training loss an evaluation, from memorising to
grokking, with the p of a rank test against the baseline. EMA is compared with MA by

    python -m grokjax.analyze results/l1_grokfast/division/ma results/l1_grokfast/division/ema

Expected (division, 8 seeds): median steps 2,100 for the baseline, 1,400 with L1, 3,600 with EMA,
1,800 with MA, 1,700 with L1 and EMA, 900 with L1 and MA; on S_5, 3 seeds, 6,000, 3,000, none by
8,000, 6,800, none, 2,100. With L1 training loss is smoother, .64 against .83 (p < .001); accuracy
falls too rarely to tell. EMA is not steadier than MA: the loss rises by .96 against .74 (p = .04).
Takes about 40 minutes for division on two idle cores, 50 for S_5 without EMA on one; its
two arms with EMA take hours, and grok at 19,800 and 9,400 in the median, of 50,000 steps.
"""

from grokjax import Study, base, grid, run_study

ARMS = {
    "baseline": ("adamw", 0.0),
    "l1": ("adamw", 0.005),
    "ema": ("grokfast_ema+adamw", 0.0),
    "ma": ("grokfast_ma+adamw", 0.0),
    "l1_ema": ("grokfast_ema+adamw", 0.005),
    "l1_ma": ("grokfast_ma+adamw", 0.005),
}
PARTS = {  # task, seeds and steps, and the seeds of the size `paper`, which has 50,000 steps
    "division": ("modular", 8, 6000, 100),
    "s5": ("permutation", 3, 8000, 20),
}


def arms(size):
    configs = {}
    for part, (task, seeds, num_steps, paper_seeds) in PARTS.items():
        for name, (optimizer, l1) in ARMS.items():
            config = base(task=task, optimizer=optimizer)
            config.schedule.update(num_steps=num_steps, stop_after_grok=5, keep=1)
            if size == "paper":
                seeds = paper_seeds
            if size == "paper" or (part == "s5" and name.endswith("ema")):
                config.schedule.num_steps = 50_000
            config.runs = grid(config.runs, seed=range(seeds), train_fraction=0.4, l1=l1)
            configs[f"{part}/{name}"] = config
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
