"""Shares of an experiment's runs, trained apart, put together as if they had been trained as one.

They are trained apart by several processes, or one after the other where the memory is too small
for all at once.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from grokjax.config.grid import share
from grokjax.recording.history import History
from grokjax.recording.results import Busy, Results
from grokjax.running import report


def folder_of(folder: Path, i: int, n: int) -> Path:
    """Where the i-th of n shares is trained."""
    return folder / f"chunk-{i}-of-{n}"


def merge(
    config: ConfigDict, folder: Path, n: int, num_runs: int, save_path: str | None = None
) -> bool:
    """Writes into `folder` what training all its runs at once would have; are all shares there?

    Under `map` that is the same bit for bit. Runs that rest keep their metrics, so a share that
    stopped early is continued by its last evaluation.
    """
    filled = [i for i in range(1, n + 1) if share(num_runs, i, n)]
    shares = [Results(folder_of(folder, i, n)) for i in filled]
    if not all(results.is_complete() for results in shares):
        return False
    whole = Results(folder)
    if not whole.lock.acquire(timeout=600):  # another process may be doing the same
        raise Busy(f"{str(folder)!r} is being written by another process; try again later")
    try:
        if not whole.is_complete():
            _write(config, whole, shares, save_path)
    finally:
        whole.lock.release()
    return True


def _write(config, whole, shares, save_path):
    labels, history = join([dict(np.load(results.history)) for results in shares])
    record = json.loads(shares[0].config.read_text())
    del record["chunk"]
    whole.metadata.unlink(missing_ok=True)  # of an attempt that was stopped
    before = [session for results in shares for session in results.sessions()]
    with whole.session(record, 0, before) as session:
        whole.write_history(history, labels)
        session.reached(int(history["step"][-1]))
        report.conclude(config, whole, labels, save_path)
        session.end("finished")


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
