"""The data set of runs: what every arm of a study left, in one compressed file a study.

data/l1_grokfast.zip holds, arm by arm, the folders of results/l1_grokfast/ without checkpoints and
pictures: the history of every run, the config, the summary, and what is known of the training.
Unpacked, by `python -m zipfile -e experiments/data/l1_grokfast.zip results/l1_grokfast`, all that
reads results reads them, such as `python -m grokjax.analyze`.
"""

import functools
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from grokjax.reading import folders
from grokjax.recording.files import replacing
from grokjax.recording.results import Results

KEPT = ("history.npz", "config.json", "summary.json", "experiment_metadata.json")
DATE = (1980, 1, 1, 0, 0, 0)  # of all members, so that the same runs are the same file


def prepare(folder: Path, results: Path | None) -> Callable[[], None]:
    """Checks that there are finished arms; returns the function that archives them.

    Args:
        folder: of the studies.
        results: where they were run; None: results/.
    """
    results = results or Path("results")
    studies = {study: _members(study) for study in _folders(folder, results)}
    studies = {study: members for study, members in studies.items() if members}
    if not studies:
        raise ValueError(f"no arm of a study is finished in {results}; give --results")
    return functools.partial(_write, folder / "data", studies)


def _folders(folder, results):
    """Those of the studies, no others in the same place."""
    names = {path.stem for path in folder.glob("[!_]*.py")}
    return sorted(path for path in results.glob("*") if path.is_dir() and path.name in names)


def _members(study):
    """{name in the archive: file} of the finished arms of a study."""
    try:
        found = folders.find(study)
    except ValueError:  # none has been evaluated
        return {}
    finished = [folder for folder in found if Results(folder).status() == "finished"]
    files = [folder / name for folder in finished for name in KEPT]
    return {str(file.relative_to(study)): file for file in files if file.is_file()}


def _write(data, studies: Mapping[Path, Mapping[str, Path]]):
    data.mkdir(exist_ok=True)
    for study, members in studies.items():
        path = data / f"{study.name}.zip"
        contents = _contents(path) if path.is_file() else {}
        contents |= {name: _content(file, study) for name, file in members.items()}
        with replacing(path) as scratch, zipfile.ZipFile(scratch, "w") as archive:
            for name in sorted(contents):
                info = zipfile.ZipInfo(name, DATE)
                archive.writestr(info, contents[name], zipfile.ZIP_DEFLATED, compresslevel=9)
        number = len({Path(name).parent for name in contents})
        print(f"{path}: {number} arms, {path.stat().st_size / 1e6:.2f} MB")


def _contents(path):
    """What is in an archive: arms of an earlier training stay."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _content(file, study):
    """The bytes of a file, without the path of the study on this machine."""
    content = file.read_bytes()
    if file.suffix == ".json":
        for place in (study.resolve(), study.absolute()):
            content = content.replace(f"{place}/".encode(), b"")
    return content
