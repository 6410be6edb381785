"""Tell the demonstration as a person wants to read it: what came in, what was made of it, the calls, the e-mails."""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

_CALLS = {
    "identity": "get a token",
    "sync": "create or update people",
    "filter": "find people",
    "trigger": "request the campaign",
    "usage": "how many calls has the day left?",
    "eventbrite_order": "Eventbrite: read the order",
    "eventbrite_content": "Eventbrite: read the join link",
    "eventbrite_event": "Eventbrite: read the event",
    "eventbrite_attendee": "Eventbrite: read an attendee",
    "pendo_visitor": "Pendo: who is the visitor?",
}
_COLOURS = {"accepted": "green", "duplicate": "cyan", "ignored": "cyan"}


@dataclass(frozen=True, slots=True)
class Happening:
    """One delivery and what the relay made of it: the answer, and a line for each registration that it touched."""

    title: str
    status: int
    answer: dict[str, Any]
    made: tuple[str, ...]
    why: str


class Story:
    """Prints to one console; plain where it is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self) -> None:
        text = "A simulated Marketo, Eventbrite and Pendo, and the real relay.\n[bold]Nothing leaves this machine.[/]"
        self._console.print(Panel(text, title="marketo-webhook-relay demo", expand=False))

    def listening(self, relay: str, sandbox: str) -> None:
        self._console.print(f"relay      {relay}\nsimulation {sandbox}\n")

    def waiting(self, emails: int, *, settle: float) -> AbstractContextManager[object]:
        left = f"Eventbrite's order is left to settle for {settle:g} s"
        text = f"Webhooks sent. Waiting for {emails} e-mails ({left}) …"
        if self._console.is_terminal:
            return self._console.status(text)
        self._console.print(text + "\n")
        return _Nothing()

    def tell_deliveries(self, happenings: Sequence[Happening]) -> None:
        table = _table("1. What came in, and what was made of it", "webhook", "answer", "what was made of it")
        for happening in happenings:
            table.add_row(escape(happening.title), _answer(happening), escape(_meaning(happening)))
        self._console.print(table)

    def tell_calls(self, calls: Sequence[dict[str, Any]]) -> None:
        table = _table("2. Each call that the relay made", "call", "people", "tokens", "answer")
        for call in calls:
            what = _CALLS.get(call["kind"], call["kind"])
            if call["campaign"]:
                what += f" {call['campaign']}"
            tokens = "\n".join(f"{{{{my.{name}}}}} = {value}" for name, value in call["tokens"].items())
            people = str(call["size"]) if call["size"] else ""
            table.add_row(escape(what), people, escape(tokens), escape(f"{call['code']} {call['requestId']}".strip()))
        self._console.print(table)

    def tell_emails(self, emails: Sequence[dict[str, Any]], files: Sequence[Path]) -> None:
        self._console.print("[bold]3. The e-mails, as the simulated Marketo rendered them[/]\n")
        for email, file in zip(emails, files, strict=True):
            text = f"To:      {email['to']}\nSubject: {email['subject']}\n\n{_readable(email['html'])}"
            self._console.print(Panel(escape(text), expand=False, subtitle=escape(str(file)), subtitle_align="left"))
        self._console.print("As HTML: " + " ".join(escape(str(file)) for file in files), soft_wrap=True)

    def conclude(self, problems: Sequence[str], *, emails: int, calls: int, others: int) -> None:
        self._console.print()
        if problems:
            self._console.print("[bold red]Not as expected:[/]")
            for problem in problems:
                self._console.print(f"  - {problem}", markup=False)
            return
        self._console.print(
            f"[bold green]Each of the {emails} expected e-mails arrived exactly once[/], with {calls} calls to "
            f"Marketo. {others} more got the access token and asked how many calls the day has left."
        )

    def invite(self, relay: str, sandbox: str, api_key: str, admin_token: str) -> None:
        body = '{"email":"you@example.com","webinar":{"id":"w-1","title":"Try it","joinLink":"https://meet.example.com/1"}}'
        lines = (
            "",
            "[bold]Still running; Ctrl-C ends it.[/] Try, in another terminal:",
            "",
            escape(
                f"curl -s {relay}/webhooks/custom -H 'Authorization: Bearer {api_key}' "
                f"-H 'Content-Type: application/json' -d '{body}'"
            ),
            "",
            escape(
                f"curl -s '{relay}/api/registrations?email=you@example.com' -H 'Authorization: Bearer {admin_token}'"
            ),
            "",
            f"All calls and e-mails: {sandbox}/     the relay's API: {relay}/docs     health: {relay}/readyz",
        )
        self._console.print("\n".join(lines), soft_wrap=True)

    def fail(self, reason: str) -> None:
        self._console.print("[bold red]The demo could not be played.[/]")
        self._console.print(reason, markup=False, soft_wrap=True)


class _Nothing(AbstractContextManager[object]):
    def __exit__(self, *_: object) -> None:
        return None


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _answer(happening: Happening) -> str:
    word = happening.answer.get("status") if happening.status < 400 else "refused"
    return f"[{_COLOURS.get(str(word), 'yellow')}]{happening.status} {word}[/]"


def _meaning(happening: Happening) -> str:
    if happening.status >= 400:
        wrong = happening.answer.get("errors", [])
        return "\n".join(f"{one['field']}: {one['problem']}" for one in wrong) or happening.answer.get("detail", "")
    if happening.made:
        return "\n".join(happening.made)
    return happening.why


def _readable(html: str) -> str:
    """Return an e-mail's text as a mail program without pictures would show it."""
    text = re.sub(r"(?s)<head>.*?</head>", "", html)
    text = re.sub(r'<img\b[^>]*?\bsrc="([^"]*)"[^>]*>', r"[image: \1]", text)
    text = re.sub(
        r'(?s)<a\b[^>]*?\bhref="([^"]*)"[^>]*>(.*?)</a>', lambda m: m[2] if m[1] == m[2] else f"{m[2]}: {m[1]}", text
    )
    lines = (unescape(line).strip() for line in re.sub(r"<[^>]+>", "", text).splitlines())
    return "\n".join(line for line in lines if line)
