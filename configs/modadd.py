"""Addition mod 97: a commutative operation, which needs less data than division.

Power et al., 2022, https://arxiv.org/abs/2201.02177, figure 2.
Expected: RESULT
Takes TIME on two CPU cores.

    python -m grokjax.train --config configs/modadd.py
"""

from grokjax import base


def get_config(choice=""):
    config = base(choice, task=dict(name="modular", op="add"))
    config.schedule.stop_after_grok = 5
    return config
