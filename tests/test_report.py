"""The report on the studies: its tables are those of the csv files, its prose has their numbers."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import report
from grokjax.studies.study import find

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "experiments"
STUDIES = find(EXPERIMENTS)
README = (EXPERIMENTS / "README.md").read_text()
STEP = re.compile(r"(?<![\w.,])(?:\d{1,3}(?:,\d{3})+|\d{3})(?![\w,]*\d)")
P_VALUE = re.compile(r"p = 0?(\.\d+)")
OF_HISTORIES = {  # what single runs did, sizes and minutes: neither in the table nor in the code
    "l1_grokfast: division": "100 200",
    "l1_grokfast: s5": "6,100 7,100 10,400 22,500 5,800 9,400 10,800",
    "data_fraction: sums": "121",
    "data_fraction: published": "8,640",
    "mlp: cycles": "3,000 4,000 5,200 6,000 7,300 8,000 7,000 1,250 7,527 100",
    "mlp: exp1": "1,500 98,500 3,500 4,000 8,500 12,500 116 961 7,527",
    "mlp: raised": "31,500 34,000",
    "task_mixtures": "512 600 2,000 2,400",
    "architectures": "128",
    "laws: mlp": "100",
    "precursors: division": "110 408 480 248 725 301",
    "branches: grokfast": "1,000 1,500 5,600",
}
OF_OTHER_PAIRS = {
    "optimizers": ".02",
    "l1_grokfast: division": ".16 .04",
    "branches: grokfast": ".167",
}  # p values of arms that its table does not compare


def sections():
    """{title: text} of the parts of the report that have a table."""
    parts = [text.partition("\n") for text in re.split(r"^## ", README, flags=re.MULTILINE)[1:]]
    return {title: text for title, _, text in parts if report.OPENING in text}


SECTIONS = sections()


def csv_rows(text):
    """The rows of a section's summary."""
    for block in report.BLOCK.finditer(text):
        with (EXPERIMENTS / "tables" / block[1]).open() as file:
            rows = list(csv.DictReader(file))
        if "grokked" in rows[0]:
            return rows
    raise AssertionError("a section of the report has no summary")


def prose(text):
    return "\n".join(line for line in text.splitlines() if not line.startswith(("|", "<", "!")))


def steps_of(rows):
    return [f"{int(value):,}" for row in rows for value in row.values() if value.isdigit()]


def unlike(found, known):
    return sorted(set(found) - set(known))


@pytest.fixture
def copy(tmp_path):
    """A folder of studies with one table of two arms, to be changed."""
    folder = tmp_path / "experiments"
    (folder / "tables").mkdir(parents=True)
    lines = (EXPERIMENTS / "tables/l1_grokfast_division.csv").read_text().splitlines(keepends=True)
    (folder / "tables/toy_part.csv").write_text("".join(lines[:3]))
    block = "<!-- table: toy_part.csv -->\n<!-- end -->"
    picture = "![](pictures/toy_part_comparison.png)"
    (folder / "README.md").write_text(f"Prose.\n\n{block}\n\n{picture}\n")
    return folder


def test_the_committed_tables_are_those_of_the_csv_files(tmp_path):
    """Written again, by the command, nothing changes."""
    folder = shutil.copytree(EXPERIMENTS, tmp_path / "experiments")
    emptied = report.BLOCK.sub(lambda b: b[0].splitlines()[0] + "\n<!-- end -->", README)
    (folder / "README.md").write_text(emptied)
    command = [sys.executable, "-m", "experiments", "report"]
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )

    assert done.returncode == 0, done.stderr
    assert "|" not in prose(emptied)
    assert f"wrote {README.count(report.OPENING)} tables" in done.stdout
    assert sorted(re.findall(r"drew .*/(\w+)\.png", done.stdout)) == [
        "data_fraction_architectures_curve",
        "data_fraction_published_curve",
        "data_fraction_sums_curve",
        "hyperparameters_phase_phase",
    ]
    assert (folder / "README.md").read_text() == README, "run python -m experiments report"


def test_every_table_and_every_picture_is_shown():
    tables = sorted(path.name for path in EXPERIMENTS.glob("tables/*.csv"))
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)

    assert sorted({block[1] for block in report.BLOCK.finditer(README)}) == tables
    assert all((EXPERIMENTS / link).exists() for link in links)
    of_the_front = {"moddiv.png", "modadd_nanda_fourier.png"}  # the main README's
    shown = {Path(link).name for link in links} | of_the_front
    assert {path.name for path in EXPERIMENTS.glob("pictures/*.png")} <= shown


@pytest.mark.parametrize("title", [t for t in SECTIONS if t.partition(":")[0] in STUDIES])
def test_the_report_of_a_study_has_its_claim_and_its_numbers(title):
    """Steps are in its table or its file, p values in its table."""
    name, text = title.partition(":")[0], SECTIONS[title]
    rows, words = csv_rows(text), prose(text)
    source = (EXPERIMENTS / f"{name}.py").read_text()
    steps = steps_of(rows) + STEP.findall(source) + OF_HISTORIES.get(title, "").split()
    steps += [f"{int(number):,}" for number in re.findall(r"\d[\d_]*\d", source)]
    columns = ("log_rank_p", "val_falls_p", "loss_rises_p")
    p_values = [float(row[name]) for row in rows for name in columns if row.get(name)]
    p_values += [float(p) for p in re.findall(r" (0\.\d+) \|$", text, re.MULTILINE)]
    known = [f"{p:.{digits}f}".removeprefix("0") for p in p_values for digits in (2, 3)]

    assert words.splitlines()[1] == f"*{STUDIES[name].claim}*"
    assert not unlike(STEP.findall(words), steps)
    assert not unlike(P_VALUE.findall(words), [*known, *OF_OTHER_PAIRS.get(title, "").split()])


@pytest.mark.parametrize("name", ["rfm", "linear"])
def test_the_report_of_what_is_no_study_has_its_claim_too(name):
    claim = (EXPERIMENTS / f"{name}.py").read_text().splitlines()[0].removeprefix('"""')

    assert prose(SECTIONS[name]).splitlines()[1] == f"*{claim}*"


@pytest.mark.parametrize("name", STUDIES)
def test_what_the_docstring_of_a_study_expects_is_in_its_tables(name):
    texts = [text for title, text in SECTIONS.items() if title.partition(":")[0] == name]
    known = [step for text in texts for step in steps_of(csv_rows(text))]
    source = (EXPERIMENTS / f"{name}.py").read_text()
    _, _, expected = source.split('"""')[1].partition("Expected")

    is_elsewhere = expected.startswith(": what REPRODUCTIONS.md says")
    assert STEP.findall(expected) or is_elsewhere or expected == ": not measured yet.\n"
    assert not unlike(STEP.findall(expected.partition("Takes")[0]), known)


@pytest.mark.parametrize("title", [title for title in SECTIONS if ", here" in SECTIONS[title]])
def test_what_stands_beside_published_numbers_is_in_the_table(title):
    arms = {row["arm"]: row for row in csv_rows(SECTIONS[title])}

    for name, cells in re.findall(r"^\| (\w+), here +\|(.*)\|$", SECTIONS[title], re.MULTILINE):
        for tenths, cell in enumerate(map(str.strip, cells.split("|")), 1):
            row = arms.get(f"{name} train_fraction={tenths / 10}")
            if row is None:
                assert not cell
            elif title.startswith("data_fraction"):
                grokked = row["median_grok_step"]
                assert cell == (f"{int(grokked):,}" if grokked else f"> {int(row['steps']):,}")
            else:
                assert cell == f"{100 * float(row['best_val_accuracy']):.1f}"


def test_a_number_that_changes_in_the_csv_changes_in_the_table(copy):
    report.prepare(copy, None)()
    before = (copy / "README.md").read_text()
    path = copy / "tables/toy_part.csv"
    path.write_text(path.read_text().replace("2100,2000,2300", "2150,2000,2300"))
    report.prepare(copy, None)()
    after = (copy / "README.md").read_text()

    assert before.count("2,100 [2,000, 2,300]") == 1
    assert after == before.replace("2,100 [2,000", "2,150 [2,000")
    assert after.startswith("Prose.\n")


def test_a_column_is_left_out_where_it_says_nothing(copy):
    path = copy / "README.md"
    path.write_text(path.read_text().replace("toy_part.csv -->", "toy_part.csv without delay -->"))
    report.prepare(copy, None)()

    assert "memorised" in path.read_text()
    assert "| delay" not in path.read_text()


def test_roughness_is_shown_where_it_is_asked_for(copy):
    path = copy / "tables/toy_part.csv"
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    own = ["val_falls", "val_falls_low", "val_falls_high", "val_falls_p"]
    numbers = (["0.0123", "", "", ""], ["0.0045", "0.001", "0.0456", "0.021"])
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [header + own, *(line + more for line, more in zip(lines, numbers, strict=True))]
        )
    report.prepare(copy, None)()
    readme = copy / "README.md"
    assert "accuracy falls" not in readme.read_text()

    readme.write_text(readme.read_text().replace(".csv -->", ".csv of val_falls val_falls_p -->"))
    report.prepare(copy, None)()
    table = [line for line in readme.read_text().splitlines() if line.startswith("|")]
    assert [re.sub(" +", " ", line) for line in (table[0], *table[2:])] == [
        "| arm | accuracy falls [95 % interval] | rank p of falls |",
        "| baseline | 1.23% | |",
        "| l1 | 0.45% [0.10%, 4.56%] | 0.021 |",
    ]


def test_tables_and_pictures_are_copied_from_results(copy, tmp_path, capsys):
    of_part = tmp_path / "results/toy/part"
    of_part.mkdir(parents=True)
    summary = (copy / "tables/toy_part.csv").read_text().replace("2100,2000,2300", "2150,2000,2300")
    (of_part / "summary.csv").write_text(summary)
    (of_part / "survival.png").write_bytes(b"not shown")
    (of_part / "comparison.png").write_bytes(b"new")
    (copy / "pictures").mkdir()
    report.prepare(copy, tmp_path / "results")()

    assert "2,150 [2,000, 2,300]" in (copy / "README.md").read_text()
    assert [path.name for path in (copy / "pictures").iterdir()] == ["toy_part_comparison.png"]
    assert (copy / "pictures/toy_part_comparison.png").read_bytes() == b"new"
    assert "left as they are" not in capsys.readouterr().out
    report.prepare(copy, None)()
    assert "left as they are: toy_part_comparison.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("toy_part.csv", "toy_parts.csv", r"toy_parts\.csv, which does not exist"),
        ("<!-- end -->", "", "has no '<!-- end -->'"),
        ("toy_part.csv", "toy_part.csv without delays", "no column 'delays'; choose from arm"),
    ],
)
def test_a_block_that_cannot_be_filled_is_an_error_and_nothing_is_written(copy, old, new, words):
    path = copy / "README.md"
    text = path.read_text().replace(old, new)
    path.write_text(text)

    with pytest.raises(ValueError, match=words):
        report.prepare(copy, None)
    assert path.read_text() == text


def test_a_table_of_another_kind_is_shown_as_it_is(copy):
    """Numbers have three digits, words stand to the left."""
    path = copy / "tables/toy_part.csv"
    path.write_text("value,rule,lead,p\nnorm,rises,1234.5,0.00001\nloss,falls,7.6543,\n")
    readme = copy / "README.md"
    chosen = readme.read_text().replace("part.csv -->", "part.csv of value lead p -->")
    readme.write_text(chosen)
    report.prepare(copy, None)()

    table = """\
| value |  lead |       p |
| ----- | ----: | ------: |
| norm  | 1,234 | < 0.001 |
| loss  |  7.65 |         |
"""
    assert table in readme.read_text()
    readme.write_text(chosen.replace(" lead ", " leads "))
    with pytest.raises(ValueError, match="no column 'leads'; choose from value, rule, lead, p"):
        report.prepare(copy, None)


def test_a_summary_that_lacks_a_column_is_an_error(copy):
    (copy / "tables/toy_part.csv").write_text("arm,runs,grokked\nbaseline,3,3\n")

    with pytest.raises(ValueError, match=r"toy_part\.csv lacks the column 'task'"):
        report.prepare(copy, None)


def test_a_picture_of_medians_is_drawn_from_its_table(copy):
    """The arms of a table are those of their histories, as far as such a picture shows them."""
    shutil.copy(EXPERIMENTS / "tables/data_fraction_architectures.csv", copy / "tables/toy.csv")
    text = (copy / "README.md").read_text()
    (copy / "README.md").write_text(f"{text}\n![](pictures/toy_curve.png)\n")
    (copy / "pictures").mkdir()
    report.prepare(copy, None)()
    arms = {arm.name: arm for arm in report.arms_of(report.read_csv(copy / "tables/toy.csv"))}
    lstm = arms["lstm train_fraction=0.5"]

    assert [path.name for path in (copy / "pictures").iterdir()] == ["toy_curve.png"]
    assert (lstm.family, lstm.values) == ("lstm", {"train_fraction": 0.5})
    np.testing.assert_equal(lstm.median, (np.nan, 3200, np.nan))
    assert lstm.durations.event_observed_R.tolist() == [True, False, False]
    assert lstm.history["step"].tolist() == [4000]
    assert arms["transformer train_fraction=0.9"].history["step"].tolist() == [3500]
