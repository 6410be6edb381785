"""Write a report for a terminal: a line a check, and below it what to do."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.doctor.report import Finding, Outcome, Report, Verdict

_MARKS = {
    Verdict.OK: ("✓", "green"),
    Verdict.WARN: ("!", "yellow"),
    Verdict.FAIL: ("✗", "bold red"),
    Verdict.UNKNOWN: ("?", "cyan"),
}
_PLAIN = {"✓": "ok", "✗": "x"}
_TITLES = 30


class Page:
    """Shows findings one by one as they come, those by the same section below its heading.

    What could not be looked at for the same reason is one line, shown when something else follows.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._section = ""
        self._held: list[Finding] = []

    def tell(self, finding: Finding) -> None:
        """Show one more finding."""
        if self._held and _reason(self._held[0]) != _reason(finding):
            self._show_held()
        self._held.append(finding)
        if finding.verdict is not Verdict.UNKNOWN:
            self._show_held()

    def end(self, report: Report) -> None:
        """Show the whole in one sentence."""
        self._show_held()
        self._console.print(Text(f"\n{report.summary}", style=_style(report)))

    def _show_held(self) -> None:
        if not self._held:
            return
        first, *more = self._held
        self._held = []
        if first.section != self._section:
            self._console.print(Text(f"\n{first.section}", style="bold"))
            self._section = first.section
        table = Table.grid(padding=(0, 1))
        table.add_column(width=2, justify="right")
        table.add_column(width=_TITLES)
        table.add_column(overflow="fold")
        _add(table, first, [one.title for one in more], self._console)
        self._console.print(table)


def print_report(report: Report, console: Console) -> None:
    """Print all findings by section, and the whole in one sentence."""
    page = Page(console)
    for finding in report.findings:
        page.tell(finding)
    page.end(report)


def step_line(title: str, outcome: Outcome, console: Console) -> Text:
    """Return one step of a trial as a line, and below it what to do."""
    mark, style = _MARKS[outcome.verdict]
    line = Text.assemble(" ", (_written(mark, console), style), f" {title:<{_TITLES}} {outcome.found}")
    return line.append(f"\n   {_written('→', console)} {outcome.advice}", style="dim") if outcome.advice else line


def _reason(finding: Finding) -> object:
    """Return what findings share that are one line: of those that could not be looked at, why."""
    if finding.verdict is Verdict.UNKNOWN:
        return finding.section, finding.found, finding.advice
    return object()  # like no other


def _add(table: Table, finding: Finding, likewise: Sequence[str], console: Console) -> None:
    mark, style = _MARKS[finding.verdict]
    table.add_row(Text(_written(mark, console), style=style), Text(finding.title), Text(finding.found))
    if likewise:
        table.add_row("", "", Text(f"likewise: {', '.join(likewise)}", style="dim"))
    if finding.advice:
        table.add_row("", "", Text(f"{_written('→', console)} {finding.advice}", style="dim"))


def _written(mark: str, console: Console) -> str:
    """Return a mark that the terminal can show."""
    try:
        mark.encode(console.encoding)
    except UnicodeEncodeError:
        return _PLAIN.get(mark, ">")
    return mark


def _style(report: Report) -> str:
    return ("bold green", "bold yellow", "bold red")[report.exit_code]
