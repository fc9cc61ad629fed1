"""The page of a comparison holds the numbers of its table, and all that it needs."""

import dataclasses
import html.parser
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from made_results import change, grid_labels, leave

from grokjax import analyze
from grokjax.config.experiment import setup
from grokjax.reading import checkpoint, comparison, findings
from grokjax.reading.arms import read, read_all
from grokjax.reading.page import numbers, page, sections, tokens
from grokjax.reading.page.lead import lead
from grokjax.reading.rows import rows
from grokjax.recording import checkpoints
from grokjax.studies.runner import Runner
from grokjax.studies.study import Study

pytest.importorskip("plotly")


@pytest.fixture(autouse=True)
def _small_script(monkeypatch):
    """In place of plotly's 5 MB, which no test here looks at."""
    monkeypatch.setattr(page, "_plotly", lambda: "/* plotly */")


class Parsed(html.parser.HTMLParser):
    """What of a page is text, and the attributes of each element."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.rows = []
        self.texts = {}  # of the latest element of each tag
        self.paragraphs = {}  # by their class
        self.scripts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.texts[tag] = ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        tag = self.elements[-1][0] if self.elements else ""
        self.texts[tag] = (self.texts.get(tag, "") + data).strip()
        if tag in ("td", "th", "button") and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data
        if tag == "p":
            self.paragraphs.setdefault(self.elements[-1][1].get("class", ""), data)
        if tag == "script":
            self.scripts[-1] += data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def lead(self):
        return self.paragraphs["lead"]

    @property
    def data(self):
        return json.loads(self.scripts[0])


def parsed(arms, title="A title", **kwargs):
    """The page of one part."""
    part = page.Part(arms, rows(arms), **kwargs)
    return Parsed(page.text({"": part}, title, "python -m grokjax.analyze"))


def test_the_numbers_of_the_page_are_those_of_the_table(tmp_path):
    """Five runs of which three grok, at 300, 400 and 900: the median is 900, the shares fifths."""
    arms = read(leave(tmp_path / "some", [300, None, 900, 400, None]))
    arms += read(leave(tmp_path / "all", [300, 300, 400]))
    found = parsed(arms)
    header, some, all_ = found.rows
    cells = dict(zip(header, some, strict=True))
    own = found.data["parts"][0]["arms"][0]

    assert (cells["arm"], cells["runs"], cells["grokked"]) == ("some", "5", "3")
    assert cells["median grok step [95 % interval]"] == "900 [300, none]"
    assert all_[0] == "all"
    assert own["median"] == [900, 300, None]
    assert own["labels"] == [f"seed={seed}" for seed in range(5)]
    assert own["grok"] == [300, 1000, 900, 400, 1000]
    assert own["observed"] == [1, 0, 1, 1, 0]
    assert own["censored"] == [1000]
    assert own["incidence"]["step"] == [0, 300, 400, 900, 1000]
    assert own["incidence"]["share"] == [0, 2000, 4000, 6000, 6000]


def test_curves_are_those_of_each_run_up_to_where_it_was_trained(tmp_path):
    """The second run stops after its second evaluation with the threshold, at 400."""
    schedule = {"num_steps": 600, "eval_every": 100, "stop_after_grok": 1}
    folder = leave(tmp_path / "a", [500, 300], last=600, schedule=schedule)
    part = parsed(read(folder)).data["parts"][0]
    (arm,) = part["arms"]
    first, second = arm["val"]

    assert part["steps"][arm["step"]] == [100, 200, 300, 400, 500, 600]
    assert first == [1000, 1000, 1000, 1000, 10_000, 10_000]
    assert second[:4] == [1000, 1000, 10_000, 10_000]
    assert second[-1] is None
    assert arm["train"][0] == [5000, 10_000, 10_000, 10_000, 10_000, 10_000]
    assert arm["val_median"][:3] == [1000, 1000, 5500]


def test_of_thousands_of_runs_some_are_drawn_and_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(numbers, "MOST_RUNS", 4)
    monkeypatch.setattr(numbers, "MOST_POINTS", 80)
    arms = read(leave(tmp_path / "a", [300] * 5 + [None] * 2, last=3000))
    arms += read(leave(tmp_path / "b", [400], last=3000))
    found = parsed(arms)
    a, b = found.data["parts"][0]["arms"]
    whole = page.text({"": page.Part(arms, rows(arms))}, "", "")

    assert (len(a["val"]), len(b["val"])) == (3, 1)
    assert a["labels"] == ["seed=0", "seed=3", "seed=6"]
    assert (a["runs"], a["grokked"]) == (7, 5)
    assert a["median"][0] == 300
    assert "4 of 8 runs are drawn, evenly chosen" in whole
    kept = max(map(len, found.data["parts"][0]["steps"]))
    assert 10 < kept <= 20
    assert f"Of 30 evaluations up to {kept} are drawn" in whole


def test_thinning_keeps_both_ends_and_is_dense_where_steps_are_small():
    step_E = np.arange(10, 10_001, 10)
    kept = step_E[numbers.thinned(step_E, 40)]

    assert (kept[0], kept[-1]) == (10, 10_000)
    assert 30 < len(kept) <= 40
    assert (kept < 1000).sum() > 10
    np.testing.assert_array_equal(numbers.thinned(step_E[:40], 40), np.arange(40))


def test_a_text_that_looks_like_a_script_is_text(tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    (arm,) = read(leave(tmp_path / "a", [300, None]))
    arms = [dataclasses.replace(arm, name=evil, family=evil, labels=[evil] * 2)]
    part = page.Part(arms, rows(arms), note=evil)
    text = page.text({evil: part}, evil, evil)
    found = Parsed(text)

    assert len(found.of("script")) == 3
    assert not found.of("img")
    assert "<script>alert" not in text
    assert found.data["parts"][0]["arms"][0]["name"] == evil
    assert found.rows[1][0] == evil


def test_the_page_needs_nothing_else_and_can_be_read_without_seeing(tmp_path):
    found = parsed(read(leave(tmp_path / "a", [300, 400, None])), title="Decay brings it forward.")
    policy = next(m["content"] for m in found.of("meta") if "http-equiv" in m)
    links = [a.get("src") or a.get("href") for _, a in found.elements if {"src", "href"} & a.keys()]
    charts = [a for a in found.of("div") if "data-kind" in a]

    assert "default-src 'none'" in policy
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert found.of("html")[0]["lang"] == "en"
    assert found.texts["title"] == found.texts["h1"] == "Decay brings it forward."
    assert {m.get("name") for m in found.of("meta")} >= {"viewport", "color-scheme"}
    assert [c["data-kind"] for c in charts] == ["survival", "dots", "curves", "measures"]
    assert charts[0]["aria-label"].startswith(
        "a: 2 of 3 runs grokked, half of them all by step 400"
    )


def test_grids_have_a_phase_diagram_and_one_entry_has_a_curve(tmp_path):
    labels = grid_labels(learning_rate=(0.01, 0.1), weight_decay=(0, 1, 3))
    runs = {"weight_decay": [0, 1, 3], "learning_rate": [0.01, 0.1]}
    grid = read(leave(tmp_path / "grid", [300] * 6, runs=runs, labels=labels))
    line = read(leave(tmp_path / "line", [300] * 3, runs={"lamb": [0, 1, 2]}, labels=[
        "lamb=0", "lamb=1", "lamb=2",
    ]))  # fmt: skip

    assert any(a.get("data-kind") == "phase" for a in parsed(grid).of("div"))
    assert not any(a.get("data-kind") == "phase" for a in parsed(line).of("div"))
    assert any(a.get("data-kind") == "entry" for a in parsed(line).of("div"))
    assert parsed(grid).data["parts"][0]["arms"][0]["values"] == {
        "weight_decay": 0,
        "learning_rate": 0.01,
    }


def test_measures_have_medians_quartiles_and_the_spectrum_of_the_first_run(tmp_path):
    folder = leave(tmp_path / "a", [300, 400, 500], last=300)
    spectrum = np.arange(3 * 3 * 5, dtype=np.float32).reshape(3, 3, 5)
    taken = np.array([[1, 2, 6], [np.nan] * 3, [0, 5, 4]], np.float32)
    change(folder, **{"odd/size": lambda _: taken, "odd/waves": lambda _: spectrum})
    usual, odd = parsed(read(folder)).data["parts"][0]["measures"]
    size, waves = odd["panels"]

    assert [panel["title"] for panel in usual["panels"]] == ["Training loss", "Validation loss"]
    assert (odd["title"], size["title"]) == ("odd", "size")
    assert size["arms"]["a"] == {
        "step": [100, 300],
        "median": [2, 4],
        "low": [1.5, 2],
        "high": [4, 4.5],
    }
    assert waves["spectrum"]["values"][2] == [30, 31, 32, 33, 34]


def test_embeddings_come_from_the_checkpoints_that_are_there(
    tmp_path, toy_config, monkeypatch, capsys
):
    """A square in the first step; then twice as large, and turned, which is turned back."""
    experiment = setup(toy_config)
    folder = leave(tmp_path / "a", [300])
    (folder / "config.json").write_text(json.dumps(experiment.record))
    points = np.zeros((1, 9, 12), np.float32)
    points[0, :7, :2] = [[2, 1], [-2, 1], [-2, -1], [2, -1], [0, 0], [0, 0], [0, 0]]
    with checkpoints.Checkpoints(
        folder / "checkpoints", {"checkpoint_every": 10, "keep": 5}
    ) as box:
        for step, size in ((10, 1), (20, -2)):
            state = {"params": {"token": size * points}}
            box.save(step, state, {}, experiment.record)
    arms = [dataclasses.replace(arm, config=experiment.record) for arm in read(folder)]
    ((film,),) = tokens.films([arms])

    assert (film["arm"], film["step"], film["share"]) == ("a", [10, 20], [10_000, 10_000])
    np.testing.assert_allclose(np.abs(film["x"]), [[2] * 4 + [0] * 3, [4] * 4 + [0] * 3], atol=1e-5)
    np.testing.assert_allclose(film["x"][1], 2 * np.array(film["x"][0]), atol=1e-5)
    assert capsys.readouterr().err == ""

    size = sum(place.size for place in checkpoint.find(folder))
    other = [dataclasses.replace(arms[0], family="b")]
    monkeypatch.setattr(tokens, "MOST_BYTES", 1.5 * size)  # one budget for all parts of a page
    assert [[f["arm"] for f in own] for own in tokens.films([arms, other, []])] == [["a"], [], []]
    monkeypatch.setattr(tokens, "MOST_BYTES", 4 * size)
    assert [[f["arm"] for f in own] for own in tokens.films([arms, other])] == [["a"], ["b"]]

    strange = experiment.record | {"task": experiment.record["task"] | {"p": "a"}}
    assert tokens.films([[dataclasses.replace(arms[0], config=strange)]]) == [[]]
    said = f"warning: {folder}: its embeddings are not drawn: "
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ({"a": [300, 400]}, "Half of the runs had grokked by step 300; 2 of 2 did in the end."),
        ({"a": [None, None]}, "Less than half of the runs grokked: 0 of 2."),
        (
            {"a": [None] * 3, "b": [300, None, None]},
            "Less than half of the runs grokked in every arm: in b, 1 of 3.",
        ),
        ({"a": [300]}, "The run grokked at step 300."),
        ({"a": [None]}, "The run did not grok by step 1,000."),
        (
            {"a": [300] * 7, "b": [300, 300], "c": [300, 400]},
            "a, b and c grok equally early: half of the runs of each had grokked by step 300.",
        ),
        (
            {"a": [None] * 2, "b": [300, 300], "c": [300, 400]},
            "b and c grok earliest: half of the runs of each had grokked by step 300, less than "
            "half of a by step 1,000. They are chosen by these very runs.",
        ),
        (
            {"a": [300] * 7, "b": [500] * 7},
            "a, the first arm, groks earliest: half of its runs had grokked by step 300 "
            "(95 % interval 300 to 300).",
        ),
        (
            {"a": [None] * 7, "b": [500] * 7},
            "b groks earliest: half of its runs had grokked by step 500 (95 % interval 500 to "
            "500), less than half of a by step 1,000. Log-rank p against a: < 0.001. It is chosen "
            "by these very runs.",
        ),
    ],
)
def test_the_first_sentence_says_which_arm_groks_earliest(tmp_path, steps, said):
    arms = read_all([leave(tmp_path / name, own) for name, own in steps.items()])

    assert lead(rows(arms)) == said


def test_more_data_is_no_setting_that_groks_earlier(tmp_path):
    runs = {"train_fraction": [0.3, 0.6, 0.9]}
    labels = grid_labels(train_fraction=(0.3, 0.6, 0.9))
    arms = read(leave(tmp_path / "a", [None, 500, 300], runs=runs, labels=labels))

    assert parsed(arms).lead == "Half of the runs or more grokked in 2 of 3 arms."


def test_arms_that_the_table_does_not_compare_are_not_ranked(tmp_path):
    """Another task, another share of the data, and steps that are counted from a trunk's."""

    def said(**configs):
        folders = [
            leave(tmp_path / "-".join(configs) / name, [steps] * 2, **config)
            for name, (steps, config) in configs.items()
        ]
        return parsed(read_all(folders)).lead

    add, div = ({"task": {"name": "modular", "op": op}} for op in ("add", "div"))
    few, many = ({"runs": {"seed": [0, 1], "train_fraction": [x]}} for x in (0.2, 0.8))
    branch = {"branched": {"goes_on": False, "folder": "trunk", "steps": {"seed=0": 500}}}
    count = "Half of the runs or more grokked in 2 of 2 arms."
    three = said(slow=(500, add), fast=(400, add), other=(300, div))

    assert said(a=(500, add), b=(300, div)) == count
    assert said(c=(500, few), d=(300, many)) == count
    assert said(e=(500, {}), f=(300, branch)) == count
    assert three.startswith("fast groks earliest: half of its runs had grokked by step 400, those")
    assert three.endswith(
        "Not ranked: 1 of 3 arms, of another task or with steps that are counted from elsewhere."
    )


def test_each_criterion_is_said_of_the_folders_that_have_it(tmp_path):
    def rule(**values):
        return {"grok": {"threshold": 0.99, "count": 3, "rule": "sustained"} | values}

    a = read(leave(tmp_path / "a", [300], **rule(threshold=0.995)))
    b = read(leave(tmp_path / "b", [300], **rule(threshold=0.95, count=6)))
    s3 = read(leave(tmp_path / "c", [300], **rule(rule="s3")))

    def criteria(text):
        return [part.partition("</p>")[0] for part in text.split('<p class="criterion">')[1:]]

    def said(arms):
        return criteria(page.text({"": page.Part(arms, rows(arms))}, "", ""))

    assert said(a) == [
        "A run has memorised when its accuracy on the training examples reaches 99.5 %; it has "
        "grokked when accuracy on the others, the validation examples, does and stays there for 3 "
        "evaluations in a row."
    ]
    first, second, third = said([*a, *b, *s3])
    assert first.startswith("In a: A run has memorised when its")
    assert "99.5 %" in first
    assert second.startswith("In b: ")
    assert "reaches 95 %; " in second
    assert second.endswith("does and stays there for 6 evaluations in a row.")
    assert third.startswith("In c: ")
    assert "95 %; " in third
    assert third.endswith("does more than 1,000 steps later.")
    lines = [parsed(arms).data["parts"][0]["threshold"] for arms in (a, s3, [*a, *b], [*b, *s3])]
    assert lines == [0.995, 0.95, None, 0.95]  # the dotted line; none where they do not agree


def test_folders_of_one_name_in_two_parts_are_told_apart(tmp_path):
    parts = {}
    for number, name in enumerate(("sums", "products")):
        arms = []
        for family in ("plain", "decay"):
            task = {"name": name, "p": 7}
            folder = leave(tmp_path / name / family, [300 + 100 * number], task=task)
            arms += read(folder)
        parts[name] = page.Part(arms, rows(arms))
    text = page.text(parts, "", "")
    configs = text.partition("<summary>Configs")[2]

    assert "<dt>arms</dt><dd>sums/plain, sums/decay, products/plain, products/decay</dd>" in text
    assert [part.partition("</h4>")[0] for part in configs.split("<h4>")[1:]] == [
        "sums/plain",
        "sums/decay",
        "products/plain",
        "products/decay",
    ]
    assert configs.count("task.name = &quot;products&quot;") == 2


def test_an_entry_of_texts_is_no_axis_and_sets_arms_apart(tmp_path):
    """Three rates for either mixture are two lines; two decays more are two phase diagrams."""
    mixes = {"mix": ["half", "all"], "learning_rate": [0.1, 0.2, 0.3]}
    labels = [f"mix={m} learning_rate={r:g}" for m in mixes["mix"] for r in mixes["learning_rate"]]
    arms = read(leave(tmp_path / "a", [300] * 6, runs=mixes, labels=labels))
    kinds = [a["data-kind"] for a in parsed(arms).of("div") if "data-kind" in a]

    assert page._varying(arms) == [{"learning_rate": 3}] * 2
    assert "entry" in kinds
    assert "phase" not in kinds


def test_accuracies_are_drawn_as_shares(tmp_path):
    folder = leave(tmp_path / "a", [300, 400], last=300)

    def of_task(arrays):
        return arrays["val_accuracy"]

    change(
        folder,
        **dict.fromkeys(("train_accuracy/a+b", "val_accuracy/a+b"), of_task),
        **{"fourier/restricted_val_accuracy": of_task, "fourier/gini": of_task},
    )
    groups = parsed(read(folder)).data["parts"][0]["measures"]
    panels = {panel["title"]: panel["share"] for group in groups for panel in group["panels"]}

    assert panels["Training loss"] is False
    assert panels["Validation accuracy, a+b"] is True
    assert panels["Restricted validation accuracy"] is True
    assert sum(panels.values()) == 2


def test_a_finding_is_on_the_page_with_its_picture(tmp_path):
    arms = read(
        leave(
            tmp_path / "decay",
            [300, 400, 500, 600, 700, 800],
            runs={"weight_decay": [1, 2, 4], "seed": [0, 1]},
            labels=grid_labels(seed=(0, 1), weight_decay=(1, 2, 4)),
        )
    )
    found = parsed(arms, findings=[findings.law(arms, "grok ~ weight_decay")])

    assert found.of("img")[0]["src"].startswith("data:image/png;base64,iVBOR")
    assert found.of("img")[0]["alt"].startswith("Law:")


def test_tables_of_summaries_are_tables_on_the_page():
    text = "## A law\n\nTwo <lines>\nof text.\n\n"
    text += "| a | b   |\n| - | --: |\n| x |     |\n| y | 1 < 2 |\n"

    assert sections.marked(text) == (
        "<h4>A law</h4><p>Two &lt;lines&gt;\nof text.</p>"
        '<div class="table marked" role="region" tabindex="0"><table><tbody>'
        '<tr><th class="text">a</th><th>b</th></tr>'
        '<tr><td class="text">x</td><td></td></tr>'
        '<tr><td class="text">y</td><td>1 &lt; 2</td></tr></tbody></table></div>'
    )


def test_where_it_comes_from_is_said_once_for_folders_that_are_alike(tmp_path):
    folders = [leave(tmp_path / name, [300]) for name in ("a", "b c", "d")]
    facts = {"device": "2 x cpu", "git_commit": "abc", "versions": {"jax": "1.2"}}
    machine = {"processor": "Zen", "threads": 2}
    for folder, commit in zip(folders, ("abc", "abc", "def"), strict=True):
        sessions = [{"seconds": 60.0, "machine": machine}]
        stored = facts | {"git_commit": commit, "sessions": sessions}
        (folder / "experiment_metadata.json").write_text(json.dumps(stored))
    text = sections.provenance({arm.family: arm for arm in read_all(folders)})

    assert text.count("<dl>") == 2
    assert "<dt>arms</dt><dd>a, b c</dd><dt>device</dt><dd>2 x cpu</dd>" in text
    assert "<dd>jax 1.2</dd>" in text
    assert "Wall time of all training: 3 minutes." in text
    assert f"--config &#x27;{folders[1]}&#x27;" in text


def test_without_plotly_a_page_that_was_asked_for_is_a_mistake(monkeypatch, capsys):
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)

    with pytest.raises(ValueError, match=r"pip install 'grokjax\[html\]'"):
        page.wanted(True, usual=False)
    assert not page.wanted(None, usual=False)
    assert not page.wanted(False, usual=True)
    assert capsys.readouterr().err == ""
    assert not page.wanted(None, usual=True)
    assert capsys.readouterr().err.splitlines() == [
        "page.html is left out: the page needs the package plotly; install it with "
        "pip install 'grokjax[html]'"
    ]


@pytest.fixture
def parsed_flags():
    flags.FLAGS.mark_as_parsed()
    yield
    flags.FLAGS.unparse_flags()


def test_the_command_writes_a_page_where_it_is_asked_to(
    tmp_path, parsed_flags, capsys, monkeypatch
):
    monkeypatch.setattr(analyze, "write", lambda *_, **__: "")  # pictures take seconds
    (tmp_path / "out").mkdir()
    words = ["analyze", str(leave(tmp_path / "a", [300, None]))]
    with flagsaver.flagsaver(output=str(tmp_path / "out")):
        analyze.prepare(words)()
        assert not (tmp_path / "out/page.html").exists()
        with flagsaver.flagsaver(html=True):
            analyze.prepare(words)()

    assert Parsed((tmp_path / "out/page.html").read_text()).rows[1][0] == "a"
    assert capsys.readouterr().out.endswith(f"open {tmp_path / 'out/page.html'} in a browser\n")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"law": "grok ~ lamb"}, "--serve shows no --law; leave one of them out"),
        ({"flops": "true"}, "--serve shows no --flops"),
        ({"paired": "true"}, "--serve shows no --paired"),
        ({"since": "100"}, "--serve shows no --since"),
        ({"output": "elsewhere"}, "--serve shows no --output"),
        ({"html": "true"}, "--serve shows no --html"),
        ({}, "nowhere is no folder; choose one that training writes to"),
    ],
)
def test_what_cannot_be_served_is_one_line(parsed_flags, given, said):
    wrong = pytest.raises(ValueError, match=said)
    with flagsaver.flagsaver(serve=True), flagsaver.as_parsed(**given), wrong:
        analyze.prepare(["analyze", "nowhere"])


def test_a_port_without_a_server_is_one_line(parsed_flags):
    said = "--port is for --serve; add that, or leave --port out"
    with flagsaver.as_parsed(port="8001"), pytest.raises(ValueError, match=said):
        analyze.prepare(["analyze", "nowhere"])


def test_a_study_has_one_page_of_all_its_parts(tmp_path, monkeypatch, toy_config, capsys):
    """Their arms are made by hand here, and without pictures, which take seconds."""
    monkeypatch.setattr(comparison, "write", lambda *_, **__: "")
    names = ("sums/plain", "sums/decay", "products/plain")
    study = Study(str(tmp_path / "toy.py"), "Decay helps.\n\nMore.", lambda _: {
        name: toy_config.copy_and_resolve_references() for name in names
    })  # fmt: skip
    runner = Runner(study, tmp_path / "toy", "default", page_by="python -m experiments.toy")
    finished = set(names) - {"sums/decay"}
    monkeypatch.setattr(runner, "_is_finished", finished.__contains__)
    for name in names:
        leave(tmp_path / "toy" / name, [300, 400])
    runner.summarise()
    found = Parsed((tmp_path / "toy/page.html").read_text())

    assert [part["name"] for part in found.data["parts"]] == ["sums", "products"]
    assert found.texts["h1"] == "Decay helps."
    text = Path(tmp_path / "toy/page.html").read_text()
    assert text.count("Not finished yet: sums/decay.") == 1
    assert "python -m experiments.toy" in text

    finished -= {"products/plain"}  # a part without any finished arm
    runner.summarise()
    text = Path(tmp_path / "toy/page.html").read_text()
    assert text.count("Not finished yet: sums/decay, products/plain.") == 1
    assert [part["name"] for part in Parsed(text).data["parts"]] == ["sums"]

    monkeypatch.setattr(page, "text", lambda *_, **__: 1 / 0)
    runner.summarise()  # what is trained and written is not lost for it
    assert capsys.readouterr().err == "warning: page.html is not written: division by zero\n"
