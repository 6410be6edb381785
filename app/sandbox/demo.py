"""`relay demo`: the simulation and the real relay as processes of their own, real webhooks between them, and the story.

It knows the relay only as its users do: by its command, its settings and its HTTP interface.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import httpx
from rich.console import Console

from app.sandbox import seed
from app.sandbox.story import Happening, Story
from app.sandbox.traffic import Delivery, Reminder, TrafficSecrets, expected_reminders, sample_traffic

_ROOT = Path(__file__).parents[2]
_PATIENCE = 30.0  # seconds for everything to arrive
_BETWEEN = 0.1  # seconds; Eventbrite's five deliveries come within about a second
_SETTLE = 1.0  # seconds; longer than those five take here, and nobody is kept waiting for the default
_FINAL = frozenset({"mapped", "ignored", "dead"})
_FOR_PEOPLE = frozenset({"sync", "filter", "trigger"})
_BESIDES = frozenset({"identity", "usage"})
_UNSENT = frozenset({"ignored", "cancelled", "dead"})
_CARRIED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_CONFIG")
Result = TypeVar("Result")


class DemoFailed(Exception):
    """The demonstration did not come to its end; the text says why and holds what the processes printed."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the two processes listen, and what is needed to talk to the relay."""

    relay: str
    sandbox: str
    admin_token: str
    http: httpx.Client

    def api(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        return self.http.get(f"{self.relay}/api/{path}", headers=headers).raise_for_status().json()

    def seen(self, path: str) -> Any:
        return self.http.get(f"{self.sandbox}/sandbox/{path}").raise_for_status().json()


def run_demo(
    *, stay: bool | None = None, folder: Path = Path("demo"), port: int = 8080, sandbox_port: int = 8090
) -> int:
    """Play the whole way and tell it; return 0 only if each expected e-mail arrived exactly once.

    With `stay` (None: in a terminal) it goes on until Ctrl-C. The e-mails are written to `folder` as HTML. Ports that
    are taken are replaced by free ones.
    """
    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    story = Story(console)
    story.begin()
    try:
        with _stage(port, sandbox_port) as stage:
            arrived_once = _play(stage, story, folder)
            if console.is_terminal if stay is None else stay:
                story.invite(stage.relay, stage.sandbox, seed.CUSTOM_API_KEY, stage.admin_token)
                _wait_for_ctrl_c()
    except DemoFailed as failed:
        story.fail(str(failed))
        return 1
    return 0 if arrived_once else 1


def _play(stage: Stage, story: Story, folder: Path) -> bool:
    deliveries = sample_traffic(stage.relay, sandbox_url=stage.sandbox, now=datetime.now(UTC))
    story.listening(stage.relay, stage.sandbox)
    answers = [_deliver(stage, delivery) for delivery in deliveries]
    reminders = expected_reminders(deliveries)
    with story.waiting(len(reminders), settle=_SETTLE):
        _wait_for_the_end(stage, answers, reminders)
    story.tell_deliveries([_happening(stage, *pair) for pair in zip(deliveries, answers, strict=True)])
    story.tell_calls(stage.seen("calls"))
    emails = stage.seen("emails")
    story.tell_emails(emails, [_write(stage, email, folder) for email in emails])
    problems = [*_unlike(deliveries, answers), *_not_once(emails, reminders), *_violations(stage)]
    story.conclude(problems, emails=len(emails), calls=_calls(stage, _FOR_PEOPLE), others=_calls(stage, _BESIDES))
    return not problems


def _deliver(stage: Stage, delivery: Delivery) -> httpx.Response:
    time.sleep(_BETWEEN)
    return stage.http.request(delivery.method, delivery.url, content=delivery.body, headers=dict(delivery.headers))


def _wait_for_the_end(stage: Stage, answers: Sequence[httpx.Response], reminders: Sequence[Reminder]) -> None:
    events = [answer.json()["id"] for answer in answers if answer.status_code == 202]

    def all_at_their_end() -> bool:
        found = [stage.api(f"events/{event}") for event in events]
        if any(event["state"] not in _FINAL for event in found):
            return False
        made = {registration for event in found for registration in event["registrations"]}
        unsent = sum(1 for one in made if stage.api(f"registrations/{one}")["state"] in _UNSENT)
        return len(stage.seen("emails")) >= len(reminders) - unsent

    with contextlib.suppress(TimeoutError):  # what is missing is told at the end
        _until(all_at_their_end, within=_PATIENCE)


def _happening(stage: Stage, delivery: Delivery, answer: httpx.Response) -> Happening:
    body = answer.json()
    made: list[str] = []
    if answer.status_code == 202:
        event = stage.api(f"events/{body['id']}")
        made = [_in_words(stage.api(f"registrations/{one}")) for one in event["registrations"]]
    return Happening(delivery.title, answer.status_code, body, tuple(made), delivery.expect.why)


def _in_words(registration: dict[str, Any]) -> str:
    title = registration["tokens"].get(seed.TITLE_TOKEN, "a webinar")
    return f"{registration['email']} for “{title}”: {registration['state']}"


def _write(stage: Stage, email: dict[str, Any], folder: Path) -> Path:
    """Write the e-mail with its pictures inside, so that the file shows them when nothing runs any more."""
    html: str = email["html"]
    image = email["tokens"].get(seed.IMAGE_TOKEN, "")
    if image.startswith(stage.sandbox):
        picture = stage.http.get(image)
        html = _with_picture(html, image, picture)
    path = folder / f"reminder-{email['n']}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as problem:
        raise DemoFailed(
            f"{path} cannot be written ({problem.strerror}); name another place with --folder."
        ) from problem
    return path


def _with_picture(html: str, address: str, picture: httpx.Response) -> str:
    kind = picture.headers["content-type"].partition(";")[0]
    return html.replace(escape(address), f"data:{kind};base64,{b64encode(picture.content).decode()}")


def _unlike(deliveries: Sequence[Delivery], answers: Sequence[httpx.Response]) -> list[str]:
    pairs = zip(deliveries, answers, strict=True)
    return [
        f"{d.title}: answered {a.status_code}, expected {d.expect.status}"
        for d, a in pairs
        if a.status_code != d.expect.status
    ]


def _not_once(emails: Sequence[dict[str, Any]], reminders: Sequence[Reminder]) -> list[str]:
    wanted = {(reminder.to, reminder.title, reminder.join_link) for reminder in reminders}
    got = Counter(_named(email) for email in emails)
    often = [f"{one[0]}: the reminder arrived {got[one]} times" for one in wanted if got[one] != 1]
    return often + [f"{one[0]}: an e-mail that nobody asked for" for one in got if one not in wanted]


def _named(email: dict[str, Any]) -> tuple[str, str | None, str | None]:
    tokens = email["tokens"]
    return email["to"], tokens.get(seed.TITLE_TOKEN), tokens.get(seed.JOIN_LINK_TOKEN)


def _violations(stage: Stage) -> list[str]:
    return [f"the simulation saw a rule broken: {found['kind']}" for found in stage.seen("violations")]


def _calls(stage: Stage, kinds: Collection[str]) -> int:
    return sum(call["kind"] in kinds for call in stage.seen("calls"))


@contextlib.contextmanager
def _stage(port: int, sandbox_port: int) -> Iterator[Stage]:
    """Start both processes and end them; they print into files, which are shown when something fails."""
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as place, httpx.Client(timeout=10, trust_env=False) as http:
        folder = Path(place)
        relay, sandbox = f"http://127.0.0.1:{_free(port)}", f"http://127.0.0.1:{_free(sandbox_port)}"
        stage = Stage(relay, sandbox, f"demo-{secrets.token_urlsafe(24)}", http)
        with (
            _process(["app.sandbox", "--port", sandbox.rpartition(":")[2], "--quiet"], {}, folder / "sandbox.log"),
            _process(["app", "serve"], _settings(stage, folder), folder / "relay.log") as running,
        ):
            for url in (f"{sandbox}/sandbox/stats", f"{relay}/readyz"):
                _wait_for_answer(http, url, folder, running)
            yield stage


def _settings(stage: Stage, folder: Path) -> dict[str, str]:
    known = TrafficSecrets()
    return {
        "MARKETO_BASE_URL": stage.sandbox,
        "MARKETO_CLIENT_ID": seed.CLIENT_ID,
        "MARKETO_CLIENT_SECRET": seed.CLIENT_SECRET,
        "MARKETO_CAMPAIGN_ID": str(seed.CAMPAIGN_ID),
        "EVENTBRITE_WEBHOOK_TOKEN": known.eventbrite_webhook_token,
        "EVENTBRITE_API_TOKEN": seed.EVENTBRITE_API_TOKEN,
        "EVENTBRITE_API_URL": f"{stage.sandbox}/eventbrite/v3",
        "EVENTBRITE_SETTLE_SECONDS": f"{_SETTLE:g}",
        "PENDO_WEBHOOK_SECRET": known.pendo_webhook_secret,
        "PENDO_INTEGRATION_KEY": seed.PENDO_INTEGRATION_KEY,
        "PENDO_API_URL": f"{stage.sandbox}/pendo",
        "CUSTOM_WEBHOOK_SECRETS": known.custom_webhook_secret,
        "CUSTOM_API_KEYS": known.custom_api_key,
        "ADMIN_TOKEN": stage.admin_token,
        "DATABASE_URL": f"sqlite:///{folder / 'relay.db'}",
        "HOST": "127.0.0.1",
        "PORT": stage.relay.rpartition(":")[2],
        "CHECK_AT_START": "false",
        "DRAIN_SECONDS": "0",
    }


@contextlib.contextmanager
def _process(module: list[str], settings: dict[str, str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    environ = {name: os.environ[name] for name in _CARRIED if name in os.environ}
    environ |= settings | {"PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"}
    with output.open("wb") as file:
        child = subprocess.Popen(  # noqa: S603  # our own modules, no shell
            [sys.executable, "-m", *module],
            env=environ,
            cwd=output.parent,  # so that no .env or relay.toml of the user's is read
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours; we end them in order
        )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait_for_answer(http: httpx.Client, url: str, folder: Path, running: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        if running.poll() is not None:
            raise DemoFailed(f"The relay ended:\n{(folder / 'relay.log').read_text()[-3000:]}")
        with contextlib.suppress(httpx.TransportError):
            return http.get(url).status_code == 200
        return False

    try:
        _until(answers, within=_PATIENCE)
    except TimeoutError:
        logs = "\n".join((folder / name).read_text()[-2000:] for name in ("sandbox.log", "relay.log"))
        raise DemoFailed(f"No answer from {url}:\n{logs}") from None


def _until(fact: Callable[[], bool], *, within: float) -> None:
    deadline = time.monotonic() + within
    while not fact():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


def _free(preferred: int) -> int:
    """Return the port if it is free on this machine, else any free one."""
    for port in (preferred, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise DemoFailed("There is no free port on this machine.")


def _wait_for_ctrl_c() -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
