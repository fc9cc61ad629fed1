"""The server of results answers this machine alone, and says when there is something new."""

import functools
import http.client
import os
import threading

import jax
import pytest
from made_results import leave

from grokjax.reading.page import page
from grokjax.running import server
from grokjax.studies import command

pytest.importorskip("plotly")


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of tmp_path, with a short text in place of plotly's script."""
    monkeypatch.setattr(page, "_plotly", lambda: "")
    monkeypatch.setattr(server, "REST", 0)
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


def test_a_page_that_cannot_be_made_says_why_and_so_does_the_server(
    served, tmp_path, monkeypatch, capsys
):
    def rows(_):
        raise TypeError("p is\n'a'")

    leave(tmp_path / "run", [300])
    with monkeypatch.context() as broken:
        broken.setattr(server, "rows", rows)
        first = ask(served, "/")
        os.utime(tmp_path / "run/history.npz", (0, 0))
        second = ask(served, "/")
    os.utime(tmp_path / "run/history.npz", (1, 1))

    assert [status for status, _ in (first, second)] == [200, 200]
    assert "The page cannot be made: p is &#x27;a&#x27;" in second[1]
    assert capsys.readouterr().err == "warning: The page cannot be made: p is 'a'\n"
    assert "cannot be made" not in ask(served, "/")[1]


def test_a_damaged_folder_is_named_on_the_page_and_once_by_the_server(served, tmp_path, capsys):
    leave(tmp_path / "sound", [300])
    (leave(tmp_path / "torn", [300]) / "config.json").write_text("{")
    text = ask(served, "/")[1]
    os.utime(tmp_path / "sound/history.npz", (0, 0))
    ask(served, "/")
    said = capsys.readouterr().err

    assert f"<p>warning: left out {tmp_path / 'torn'}" in text
    assert said.startswith(f"warning: left out {tmp_path / 'torn'}")
    assert said.count("\n") == 1


def test_a_large_page_is_left_as_it_is_for_a_while(tmp_path, monkeypatch):
    """It took 2 seconds, so until 8 more have passed there is no other stamp, and no work."""
    now = [100.0]
    monkeypatch.setattr(server.time, "monotonic", lambda: now[0])

    def made(self, stamp):
        now[0] += 2
        return stamp

    monkeypatch.setattr(server.Shown, "_made", made)
    shown = server.Shown([tmp_path])
    first = shown.page()
    leave(tmp_path / "run", [300])
    now[0] = 109.9
    assert (shown.page(), shown.stamp().encode(), now[0]) == (first, first, 109.9)
    now[0] = 110.0
    assert shown.stamp().encode() != first
    assert shown.page() != first


def test_an_error_in_a_request_is_a_line_but_a_browser_that_has_gone_is_not(served, capsys):
    for error in (BrokenPipeError("gone"), ConnectionResetError("gone"), KeyError("odd")):
        try:
            raise error
        except (OSError, KeyError):
            served.handle_error(None, None)

    assert capsys.readouterr().err == "warning: a request failed: 'odd'\n"


def test_what_only_reads_takes_no_accelerator(tmp_path, monkeypatch):
    """Its backend is chosen before anything is read, whatever the machine has."""
    before = jax.config.jax_platforms
    jax.config.update("jax_platforms", None)
    try:
        server.prepare([tmp_path], 0)
        assert jax.config.jax_platforms == "cpu"
        jax.config.update("jax_platforms", None)
        monkeypatch.setattr(command, "Interrupts", interrupted)
        with pytest.raises(KeyboardInterrupt):
            command._work([])  # of a study
        assert jax.config.jax_platforms == "cpu"
    finally:
        jax.config.update("jax_platforms", before)


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


def interrupted(*_, **__):
    raise KeyboardInterrupt
