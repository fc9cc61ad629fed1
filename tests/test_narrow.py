"""A table fits the terminal: columns are left out, the least important first."""

from made_results import leave

from grokjax.reading import narrow
from grokjax.reading.arms import read_all
from grokjax.reading.rows import COLUMNS, markdown, rows


def table(tmp_path):
    folders = [leave(tmp_path / name, [400, 600, 700]) for name in ("A", "B|C")]
    return markdown(rows(read_all(folders)))


def test_a_wide_terminal_shows_all_of_it(tmp_path):
    text = table(tmp_path)

    assert narrow.narrowed(text, max(map(len, text.splitlines()))) == text


def test_a_narrow_terminal_shows_what_matters(tmp_path):
    shown = narrow.narrowed(table(tmp_path), 100)

    *lines, empty, more = shown.splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert [
        lines[0].count(word) for word in ("arm", "grokked", "median grok step", "log-rank p")
    ] == [1] * 4
    assert "rank p of falls" not in shown
    assert r"B\|C" in lines[3]
    assert (empty, more) == ("", narrow.MORE)


def test_every_column_that_may_go_is_one():
    headers = [header for header in COLUMNS.values() if header]

    for beginning in narrow.DROPPED:
        assert any(header.startswith(beginning) for header in headers), beginning
