"""The server of results answers this machine alone, and says when there is something new."""

import functools
import http.client
import os
import threading

import pytest
from made_results import leave

from grokjax.reading.page import page
from grokjax.running import server

pytest.importorskip("plotly")


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of tmp_path, with a short text in place of plotly's script."""
    monkeypatch.setattr(page, "_plotly", lambda: "")
    handler = functools.partial(server.Handler, shown=server.Shown([tmp_path]))
    with server.Server((server.HERE, 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def ask(served, path, method="GET", **headers):
    """(status, text) of an answer."""
    connection = http.client.HTTPConnection(server.HERE, served.server_port, timeout=60)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_page_is_made_anew_when_there_are_new_results(served, tmp_path):
    folder = leave(tmp_path / "first", [300])
    stamp = ask(served, "/stamp")[1]
    status, before = ask(served, "/")
    assert (status, f'data-stamp="{stamp}"' in before) == (200, True)
    assert ask(served, "/stamp")[1] == stamp
    assert ask(served, "/")[1] == before

    leave(tmp_path / "another", [400])
    later = ask(served, "/stamp")[1]
    after = ask(served, "/")[1]
    assert later != stamp
    assert f'data-stamp="{later}"' in after
    assert "another" in after
    assert "another" not in before

    os.utime(folder / "history.npz", (0, 0))
    assert ask(served, "/stamp")[1] not in (stamp, later)


def test_a_folder_without_results_is_waited_for(served, tmp_path):
    status, text = ask(served, "/")

    assert status == 200
    assert "Waiting for results" in text
    assert "holds no results" in text
    leave(tmp_path / "run", [300])
    assert "Waiting" not in ask(served, "/")[1]


def test_no_other_address_no_file_and_no_other_name_is_answered(served, tmp_path):
    (tmp_path / "secret").write_text("secret")
    leave(tmp_path / "run", [300])
    paths = ("/secret", "/run/config.json", "/../../etc/passwd", "//etc/passwd", "/?x", "/stamp/")

    assert [ask(served, path) for path in paths] == [(404, "there is only /")] * len(paths)
    assert ask(served, "/", Host="elsewhere.example")[0] == 403
    assert ask(served, "/stamp", Host="127.0.0.1.elsewhere.example")[0] == 403
    assert ask(served, "/stamp", Host="localhost:8000")[0] == 200
    assert ask(served, "/", "POST")[0] == 501
    assert ask(served, "/", "HEAD") == (200, "")
    assert served.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_one_line(served, tmp_path):
    said = rf"--port {served.server_port} cannot be used \(.+\); choose another, or 0 for any"
    with pytest.raises(ValueError, match=said):
        server.prepare([tmp_path], served.server_port)


def test_ctrl_c_ends_it_cleanly(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(server.Server, "serve_forever", interrupted)
    server.prepare([tmp_path], 0)()

    assert capsys.readouterr().out.startswith("open http://127.0.0.1:")


def interrupted(self):
    raise KeyboardInterrupt
