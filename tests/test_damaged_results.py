"""Whatever happened to a file of a results folder, it is compared or it is one line."""

import io
import json
import shutil

import numpy as np
import pytest
from made_results import change, leave

from grokjax.reading import texts
from grokjax.reading.arms import read_all
from grokjax.reading.checkpoint import read_merged
from grokjax.reading.comparison import best_of_families, write
from grokjax.reading.rows import rows
from grokjax.recording.results import Results

FILES = ("config.json", "history.npz", "experiment_metadata.json")
TEXTS = (
    "",
    "[]",
    "null",
    "3",
    "{}",
    '"x"',
    "{",
    "[" * 100_000,
    '{"runs": 3}',
    '{"a": NaN}',
    "\x00",
)
EDITS = [  # entries of config.json
    *(("runs", value) for value in ({}, [1], {"seed": "x"}, {"seed": [None]}, {"seed": [[1]]})),
    *(("runs", {"seed": [0, 1], "lamb": value}) for value in ([{"a": 1}], [float("nan")], [1e39])),
    ("runs", {name: list(range(1000)) for name in ("seed", "split_seed", "lamb")}),
    *(("grok", value) for value in (3, [], None, {"nosuch": 1}, {"count": -1}, {"rule": "x"})),
    *(("grok", {"threshold": value}) for value in (None, "x", float("nan"), 2)),
    *(("schedule", value) for value in (3, None, [], {"stop_after_grok": "x"}, {"eval_every": 0})),
    *(("schedule", {"stop_after_grok": 1, "num_steps": value}) for value in (None, "x", 2**40)),
    *(("shard", value) for value in ("x", "2/1", "1/0", 3, None)),
    *(("task", value) for value in (3, None, [], {"name": []})),
]
ARRAYS = {  # what history.npz may hold in place of an array, made of all of them
    "is lacking": None,
    "is empty": lambda a: np.zeros(0),
    "is a number": lambda a: np.float32(3),
    "is shorter": lambda a: a["val_loss"][:2],
    "is wider": lambda a: np.ones((10, 3)),
    "is of texts": lambda a: np.full(a["val_loss"].shape, "a"),
    "is complex": lambda a: np.full(a["val_loss"].shape, 1j),
    "falls": lambda a: a["step"][::-1],
    "is NaN": lambda a: np.full(a["val_loss"].shape, np.nan),
}


def damages(path):
    """(what, how) a file may be damaged, each as a function without arguments."""
    data = path.read_bytes()
    parts = np.linspace(0, len(data) - 1, 12).astype(int)
    for where in parts:
        flipped = bytearray(data)
        flipped[where] ^= 1 << (where % 8)
        yield f"a bit flipped at {where}", lambda x=bytes(flipped): path.write_bytes(x)
        yield f"cut at {where}", lambda x=data[:where]: path.write_bytes(x)
    yield "zeros", lambda: path.write_bytes(bytes(len(data)))
    yield "more bytes", lambda: path.write_bytes(data + b"garbage")
    yield "deleted", path.unlink
    yield "a folder", lambda: (path.unlink(), path.mkdir())
    for text in TEXTS:
        yield f"text {text[:9]!r}", lambda x=text: path.write_text(x)
    if path.suffix == ".npz":
        yield "an array", lambda: path.write_bytes(array_file())
        for name in ("step", "label", "val_accuracy", "train_loss"):
            for what, make in ARRAYS.items():
                yield f"{name} {what}", lambda n=name, m=make: change(path.parent, **{n: m})
    if path.name == "config.json":
        for entry, value in EDITS:
            edited = json.dumps(json.loads(data) | {entry: value})
            yield f"{entry} = {value!r:.40}", lambda x=edited: path.write_text(x)


def array_file():
    """The bytes of a single array that NumPy saved."""
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def made(folder, steps):
    return leave(folder, steps, schedule={"num_steps": 1000, "eval_every": 100}, task={"name": "x"})


def compared(folders, warn=None):
    """What is said of them: a line against all, or the arms that are compared."""
    try:
        arms = read_all(folders, warn)
        assert len(rows(arms)) == len(arms)
        assert best_of_families(arms)
        return [arm.name for arm in arms]
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_one_line_and_the_other_folders_are_compared(tmp_path, file):
    sound = made(tmp_path / "sound", [300, None])
    folder = tmp_path / "runs/hurt"
    for what, _ in list(damages(sound / file)):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(sound, folder)
        dict(damages(folder / file))[what]()
        alone = compared([folder])
        if isinstance(alone, str):
            assert len(alone.splitlines()) == 1, what
            assert str(folder) in alone or str(folder.parent) in alone, what
        warnings = []
        both = compared([sound, tmp_path / "runs"], warnings.append)
        if isinstance(alone, list):
            assert both == ["sound", *alone], what
            assert not warnings, what
        elif isinstance(both, list):
            assert both == ["sound"], what
            assert len(warnings) == 1, what
            assert alone in warnings[0], what
        else:  # there is no history at all
            assert "history.npz" in both or "holds no results" in both, what


def said_of_merged(sound, folder):
    """What `checkpoint_tool compare` says against a folder; a dot if nothing."""
    try:
        if merged := read_merged(Results(folder)):
            list(texts.compared([sound, merged]))
    except ValueError as error:
        return str(error)
    return "."


@pytest.mark.parametrize("file", FILES[:2])
def test_a_damaged_file_of_merged_shards_is_one_line_of_the_tool_too(tmp_path, file):
    sound = read_merged(Results(leave(tmp_path / "sound", [300, None])))
    for what, _ in list(damages(made(tmp_path / "hurt", [300, None]) / file)):
        shutil.rmtree(tmp_path / "hurt")
        folder = made(tmp_path / "hurt", [300, None])
        dict(damages(folder / file))[what]()
        assert len(said_of_merged(sound, folder).splitlines()) == 1, what


def test_a_table_that_was_there_before_may_be_damaged(tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "summary.md").write_bytes(b"\xff\xfe\x00")

    write(read_all([made(tmp_path / "a", [300, None])]), output)

    assert "# Comparison" in (output / "summary.md").read_text()
