"""Learning several operations at once brings grokking forward in each of them.

Division mod 97 alone, then mixed with addition in batches of 90 to 10, 70 to 30 and 50 to 50, then
with addition and subtraction by thirds. All training examples of every operation are used; the mix
only sets how many of them a batch contains. Steps are counted for all tasks together: at 50 to 50,
division sees half as many examples a step as alone.
Expected (3 seeds): division at step 1,800 alone, 1,900, 3,400 and 3,900 with addition; addition at
1,300 alone; by thirds one seed of three within 6,000. Takes 59 minutes on one core.
"""

from grokjax import Study, base, grid, run_study

TWO, THREE = ("div", "add"), ("div", "add", "sub")
MIXES = {
    "division": (TWO, "100:0"),
    "addition": (TWO, "0:100"),
    "90_10": (TWO, "90:10"),
    "70_30": (TWO, "70:30"),
    "50_50": (TWO, "50:50"),
    "thirds": (THREE, "1:1:1"),
}


def arms(size):
    configs = {}
    for name, (ops, mix) in MIXES.items():
        configs[name] = config = base(task=dict(name="mixture", ops=ops))
        config.schedule.update(num_steps=6000, stop_after_grok=5)
        config.runs = grid(config.runs, seed=range(3), mix=mix)
        if size == "paper":
            config.schedule.num_steps = 250_000
            config.runs.seed = tuple(range(100))
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
