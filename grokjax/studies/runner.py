"""The runner of a study: trains the arms that are not finished, and writes tables and figures."""

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from rich.table import Column, Table
from rich.text import Text

from grokjax.config import grid
from grokjax.config.experiment import check, is_open
from grokjax.reading import arms, comparison, findings
from grokjax.reading.page import page
from grokjax.reading.rows import Row, rows, write_csv
from grokjax.recording.files import Lock, replacing
from grokjax.recording.output import may_fail
from grokjax.recording.results import Results
from grokjax.running import shards
from grokjax.running.signals import Interrupts
from grokjax.studies.process import ArmProcess
from grokjax.studies.standing import Standing, shown
from grokjax.studies.study import Study, differences, is_branch, part


class Runner:
    """Runs a study in its folder `results/<study>/`."""

    def __init__(
        self,
        study: Study,
        folder: Path,
        size: str,
        *,
        seeds: Sequence[int] = (),
        only: str = "*",
        shard: tuple[int, int] | None = None,
        flags: Sequence[str] = (),
        page_by: str = "",
    ):
        """Reads what is there.

        Args:
            study: what is run.
            folder: of its results.
            size: `smoke`, `default` or `paper`.
            seeds: in place of those that the study has chosen.
            only: a pattern that names of arms have to match.
            shard: (i, n): only the i-th of n shards of each arm's runs.
            flags: for the training of each arm.
            page_by: the command to be named in page.html; without one there is no page.

        Raises:
            ValueError: if there are other arms than these in the folder.
        """
        if not study.claim:
            raise ValueError(f"{study.file} has no docstring; its first line is the claim")
        self.study = study
        self.folder = folder
        self.outcome: dict[str, list[Row]] = {}  # of each part: the rows of its finished arms
        self.missing: list[str] = []  # arms that were not finished at the last summary
        self._shard = shard
        self._page_by = page_by
        self._arms = study.arms(size, seeds)
        chosen = fnmatch.filter(self._arms, only)
        if not chosen:
            raise ValueError(f"no arm is called {only!r}; choose from {', '.join(self._arms)}")
        self._processes = {}
        for config in self._arms.values():
            self._place_origin(config)
        for name, config in self._arms.items():
            place = folder / name
            config = check(config).config if is_open(config) else config
            _check_same(place, config)
            if shard:
                place = shards.folder_of(place, *shard)
                _check_same(place, config)
            has_runs = not shard or grid.shard(grid.count(config.runs), *shard)
            if name in chosen and has_runs:
                file = f"{study.file}:{name},{size}"
                given = [f"--branch={config.branch.origin}", *flags]
                own = given if is_branch(config) else flags
                self._processes[name] = ArmProcess(file, config, place, own)

    def _place_origin(self, config):
        """A branch of another arm begins with the states in that arm's folder."""
        arm, at, when = config.branch.origin.partition("@")
        if arm in self._arms:
            config.branch.origin = f"{self.folder / arm}{at}{when}"

    def check(self) -> None:
        """Raises a ValueError if the config of an arm that is to be trained is invalid."""
        for name, process in self._processes.items():
            if not process.results.is_complete():
                try:
                    check(process.config)
                except ValueError as error:
                    raise ValueError(f"{self.study.name}/{name}: {error}") from error

    def run(self, interrupts: Interrupts) -> list[str]:
        """Trains what is not finished; returns the arms that failed."""
        failed = []
        waiting = list(self._processes.values())
        for number, (name, process) in enumerate(self._processes.items(), 1):
            del waiting[0]
            if interrupts.received:
                break
            where = f"{self.study.name} {number}/{len(self._processes)} {name}"
            if process.results.is_complete() or Results(self.folder / name).is_complete():
                print(f"{where}: was finished before")
                continue
            print(f"{where}: training, see {process.output}")
            later = [each for each in waiting if not each.results.is_complete()]
            with shown(Standing(where, process, later, interrupts)):
                outcome = process.run(interrupts)
            if outcome == "busy":
                print(f"{where}: another process is training it")
                continue
            print(f"{where}: {outcome} at {process.progress()}")
            if outcome == "failed":
                failed.append(name)
                print(process.last_lines())
        return failed

    def status(self) -> Table:
        """One line an arm."""
        numbers = [Column(name, justify="right") for name in ("runs", "step", "grokked", "seconds")]
        title = {"title": self.study.name, "title_justify": "left"}
        table = Table("arm", "status", *numbers, **title, box=None)
        for name, process in self._processes.items():
            progress = process.progress()
            table.add_row(
                Text(name),
                progress.status,
                str(progress.runs),
                f"{progress.step:,} of {process.config.schedule.num_steps:,}",
                str(progress.grokked),
                f"{progress.seconds:,.0f}",
            )
        return table

    def summarise(self) -> str | None:
        """Writes tables and figures of the arms that are finished; returns them for people."""
        lock = Lock(self.folder / "summary.lock")
        lock.acquire(timeout=600)  # another process may be doing the same
        try:
            parts = self._parts([name for name in self._arms if self._is_finished(name)])
            text = self._summarise(parts) if parts else None
            if parts and self._page_by:
                self._write_page(parts)
            return text
        finally:
            lock.release()

    def _parts(self, finished):
        """{part: its finished arms}, of which the outcome is known from here on."""
        parts = {}
        for name in finished:
            parts.setdefault(part(name), []).extend(
                arms.read(self.folder / name, name.rpartition("/")[2])
            )
        self.outcome = {name: rows(of_part) for name, of_part in parts.items()}
        self.missing = [name for name in self._arms if name not in finished]
        return parts

    def _summarise(self, parts):
        claim = self.study.claim
        note = f"Not finished yet: {', '.join(self.missing)}." if self.missing else ""
        if list(parts) == [""]:
            own = self.outcome[""]
            found = findings.paired(parts[""])
            return comparison.write(parts[""], self.folder, claim, note, 0, found, own) + note
        table = []
        texts = [f"# {claim}"]
        for name, of_part in parts.items():
            title = f"{claim} {name}"
            own = self.outcome[name]
            found = findings.paired(of_part)
            written = comparison.write(of_part, self.folder / name, title, "", 0, found, own)
            texts.append(f"## [{name}]({name}/summary.md)\n\n{written.rstrip()}")
            table += [{"part": name} | row for row in self.outcome[name]]
        write_csv(table, self.folder / "summary.csv")
        text = "\n\n".join(filter(None, [*texts, note])) + "\n"
        with replacing(self.folder / "summary.md") as path:
            path.write_text(text, encoding="utf-8")
        return text

    def _write_page(self, parts):
        shown = {}
        note = f"Not finished yet: {', '.join(self.missing)}." if self.missing else ""
        for name, of_part in parts.items():
            shown[name] = page.Part(of_part, self.outcome[name], note, findings.paired(of_part))
            note = ""  # the first part has it for all, also for those without a finished arm
        with may_fail(f"{page.NAME} is not written"):
            page.write(self.folder / page.NAME, shown, self.study.claim, self._page_by)

    def _is_finished(self, name):
        if self._shard:
            shards.merge(self._arms[name], self.folder / name, self._shard[1])
        return Results(self.folder / name).is_complete()


def _check_same(folder, config):
    stored = Results(folder).stored_config()
    if differing := differences(stored, config) if stored else "":
        raise ValueError(
            f"{str(folder)!r} holds another experiment ({differing}); choose another --results"
        )
