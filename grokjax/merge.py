"""Shares of an arm's runs, trained apart, put together as if they had been trained as one."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from grokjax import report
from grokjax.metrics import History
from grokjax.results import Results


def share_folder(folder: Path, i: int, n: int) -> Path:
    """Where the i-th of n shares of an arm is trained."""
    return folder / f"chunk-{i}-of-{n}"


def merge(config: ConfigDict, folder: Path, n: int, num_runs: int) -> bool:
    """Writes into `folder` what training all its runs at once would have; are all shares there?

    Under `map` that is the same bit for bit. Runs that rest keep their metrics, so a share that
    stopped early is continued by its last evaluation.
    """
    shares = [Results(share_folder(folder, i, n)) for i in range(1, min(n, num_runs) + 1)]
    if not all(share.is_complete() for share in shares):
        return False
    whole = Results(folder)
    if whole.is_complete() or not whole.lock.take():
        return True
    labels, history = join([dict(np.load(share.history)) for share in shares])
    record = json.loads(shares[0].config.read_text())
    del record["chunk"]
    with whole.session(record, 0) as session:
        whole.write_history(history, labels)
        session.reached(int(history["step"][-1]))
        report.conclude(config, whole, labels, None)
        session.end("finished")
    whole.lock.give()
    return True


def join(parts: Sequence[dict[str, np.ndarray]]) -> tuple[list[str], History]:
    """Labels and history of all runs; a shorter part goes on with its last row."""
    longest = max(parts, key=lambda part: part["step"].size)["step"]
    arrays = {"step": longest}
    for name in parts[0]:
        if name not in ("step", "label"):
            arrays[name] = np.concatenate(
                [_to_length(p[name], longest.size) for p in parts], axis=1
            )
    return [str(label) for part in parts for label in part["label"]], History(arrays)


def _to_length(values_ExR, length):
    missing = length - len(values_ExR)
    return np.concatenate([values_ExR, np.repeat(values_ExR[-1:], missing, axis=0)])
