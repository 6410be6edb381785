"""`relay replay` asks a running relay: a lost answer mails nobody twice, and each failure says what to do."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from typer.testing import CliRunner, Result

from app.cli import app

RUNNING = {"id": "rpl_1", "state": "running", "done": 0, "total": 2, "counts": {}, "stillDead": {}}
DONE = RUNNING | {"state": "done", "done": 2, "counts": {"again": 2}}
BEGUN = (202, {"replay": DONE})
UNSTORED = (503, {"detail": "It is not known whether it has begun."})
Answer = tuple[int, object] | None


@dataclass
class Scripted:
    """A relay that gives these answers in turn; None closes the connection, as one does that dies."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    url: str = ""

    def replay(self, *given: str) -> Result:
        environ = {"RELAY_URL": self.url, "ADMIN_TOKEN": "adm-Kq7xB2vT9mZ4pW3c"}
        return CliRunner().invoke(app, ["replay", *given], env=environ)


@pytest.fixture
def relay() -> Iterator[Scripted]:
    scripted = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            scripted.asked.append((self.path, json.loads(body)))
            self._answer(scripted.answers.pop(0))

        def do_GET(self) -> None:
            self._answer(scripted.answers.pop(0))

        def _answer(self, answer: Answer) -> None:
            if answer is None:
                return
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(json.dumps(answer[1]).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        scripted.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield scripted
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("lost", [None, UNSTORED], ids=["silence", "503"])
def test_an_answer_that_gets_lost_is_asked_for_again_with_the_same_key(relay: Scripted, lost: Answer) -> None:
    """The first may have begun it: with another key it would be a second replay."""
    relay.answers = [lost, BEGUN]
    ended = relay.replay("--all", "--yes")
    assert (ended.exit_code, "rpl_1: done, 2 of 2." in ended.stdout) == (0, True), ended.stderr
    keys = [body["key"] for _, body in relay.asked]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    relay.answers = [BEGUN]
    relay.replay("--all", "--yes")
    assert relay.asked[-1][1]["key"] not in keys


def test_who_never_hears_whether_it_began_is_told_how_to_repeat_it(relay: Scripted) -> None:
    relay.answers = [None, None]
    ended = relay.replay("--all", "--yes")
    key = str(relay.asked[0][1]["key"])
    assert (ended.exit_code, f"repeat the command with --key {key}, and it begins once" in ended.stderr) == (1, True)
    relay.answers = [BEGUN]
    assert relay.replay("--all", "--yes", "--key", key).exit_code == 0
    assert {body["key"] for _, body in relay.asked} == {key}


def test_what_is_refused_is_asked_for_once(relay: Scripted) -> None:
    relay.answers = [(409, {"detail": "rpl_1 mails the same people again and is under way."})]
    ended = relay.replay("--all", "--yes")
    assert (ended.exit_code, ended.stderr) == (1, "rpl_1 mails the same people again and is under way.\n")


def test_of_a_relay_that_dies_while_it_is_followed_one_knows_that_the_replay_goes_on(relay: Scripted) -> None:
    """Nobody should begin a second one."""
    relay.answers = [(202, {"replay": RUNNING}), None]
    ended = relay.replay("--all", "--yes")
    assert ended.exit_code == 1
    assert "does not answer" in ended.stderr
    assert "goes on by itself while a relay leads. `relay replay --follow rpl_1` looks again" in ended.stderr


@pytest.mark.parametrize(
    ("given", "answer", "said"),
    [
        (["--all"], (401, {"detail": "Send Authorization"}), "This is not the ADMIN_TOKEN of the relay at"),
        (["--follow", "rpl_9"], (404, {"detail": "No"}), "There is no rpl_9 in"),
        (
            ["--all"],
            (404, {"detail": "The admin API is off; set ADMIN_TOKEN to turn it on."}),
            "start it with an",
        ),
        (["reg_9"], (404, {"detail": "No.", "errors": [{"field": "ids.0", "problem": "gone"}]}), "ids.0: gone"),
        (["--all"], (200, "<html>"), "is no relay; look whether RELAY_URL is right"),
    ],
)
def test_what_a_relay_refuses_says_what_to_do(relay: Scripted, given: list[str], answer: Answer, said: str) -> None:
    relay.answers = [answer]
    ended = relay.replay(*given)
    assert (ended.exit_code, said in ended.stderr) == (1, True), ended.stderr


@pytest.mark.parametrize("wrong", ["ä", "a b", "x/../../y?z", "rpl_", "rpl_A", "reg_1"])
@pytest.mark.parametrize("option", ["--follow", "--stop"])
def test_what_can_be_no_replay_is_refused_before_anything_is_asked(relay: Scripted, option: str, wrong: str) -> None:
    """It would stand in the path of another request."""
    ended = relay.replay(option, wrong)
    assert (ended.exit_code, "is no replay's id: those begin with rpl_" in ended.stderr) == (2, True), ended.stderr


def test_a_proxy_is_used_for_a_relay_behind_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by every other command."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        heard: list[bytes] = []

        def hear() -> None:
            connection, _ = proxy.accept()
            with connection:
                heard.append(connection.recv(4096))

        thread = Thread(target=hear)
        thread.start()
        ended = Scripted(url="https://relay.example.com").replay("--all")
        thread.join(20)
    assert heard[0].startswith(b"CONNECT relay.example.com:443 ")
    assert (ended.exit_code, "does not answer" in ended.stderr) == (1, True)
