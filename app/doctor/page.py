"""Write a report for a terminal: a line a check, and below it what to do."""

from collections.abc import Iterator, Sequence
from itertools import groupby

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


def print_report(report: Report, console: Console) -> None:
    """Print all findings by section, and the whole in one sentence."""
    for section, findings in groupby(report.findings, lambda finding: finding.section):
        console.print(Text(f"\n{section}", style="bold"))
        table = Table.grid(padding=(0, 1))
        table.add_column(width=2, justify="right")
        table.add_column(width=_TITLES)
        table.add_column(overflow="fold")
        for finding in _merged(list(findings)):
            _add(table, finding, console)
        console.print(table)
    console.print(Text(f"\n{report.summary}", style=_style(report)))


def step_line(title: str, outcome: Outcome, console: Console) -> Text:
    """Return one step of a trial as a line, and below it what to do."""
    mark, style = _MARKS[outcome.verdict]
    line = Text.assemble(" ", (_written(mark, console), style), f" {title:<{_TITLES}} {outcome.found}")
    return line.append(f"\n   {_written('→', console)} {outcome.advice}", style="dim") if outcome.advice else line


def _merged(findings: Sequence[Finding]) -> Iterator[tuple[Finding, int]]:
    """Yield the findings, each with how many more could not be looked at for the same reason."""
    for _, same in groupby(findings, _reason):
        first, *rest = same
        yield first, len(rest)


def _reason(finding: Finding) -> object:
    if finding.verdict is Verdict.UNKNOWN:
        return finding.found, finding.advice
    return object()  # like no other


def _add(table: Table, line: tuple[Finding, int], console: Console) -> None:
    finding, more = line
    mark, style = _MARKS[finding.verdict]
    title = f"{finding.title} and {more} more" if more else finding.title
    table.add_row(Text(_written(mark, console), style=style), Text(title), Text(finding.found))
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
