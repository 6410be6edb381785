"""What `relay doctor` does in a terminal: show the report, offer what can be mended, and look again."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from rich.console import Console
from rich.text import Text

from app.checkup import NEEDED, Examined, check_up, mend, reminder_of, send_one, tell_nobody, without_asking
from app.doctor.mending import Fix
from app.doctor.page import Page, print_report, step_line
from app.doctor.report import Outcome, Verdict
from app.domain import Json
from app.errors import FieldProblem, RelayError, SettingsInvalid
from app.making import CHECKS
from app.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class Surgery:
    """One visit. The report goes to `console`, all else to `aside`; `agrees` asks the person."""

    console: Console
    aside: Console
    overrides: Mapping[str, object]
    agrees: Callable[[str], bool]
    patience: timedelta = timedelta(minutes=5)
    _told_slow: list[str] = field(default_factory=list)

    async def visit(self, *, as_json: bool, may_mend: bool, send_to: str | None = None) -> int:
        """Check, show, mend what one agrees to, send one reminder; return the exit code of the worst of it."""
        settings, examined = await self._examine(as_it_comes=not as_json)
        if may_mend and settings and await self._offer(settings, examined.fixes):
            _, examined = await self._examine(as_it_comes=not as_json)
        if as_json:
            self.console.print(json_of(examined), markup=False, highlight=False, soft_wrap=True)
        sent = await self._send(settings, send_to) if settings and send_to else 0
        return max(sent, examined.report.exit_code)

    async def _send(self, settings: Settings, address: str) -> int:
        """Send one real reminder and follow it until it is reported sent, or named where it stopped."""
        self._say(f"\nOne real reminder to {address}; Marketo's activity log is some minutes late:")
        reminder = reminder_of(settings, address, patience=self.patience)
        verdict = await send_one(settings, reminder, tell=self._tell_step, slow=self._slow)
        went = "went all the way" if verdict is Verdict.OK else "was not seen to arrive"
        self._say(f"\nThe reminder {went}.")
        return {Verdict.OK: 0, Verdict.FAIL: 2}.get(verdict, 1)

    def _tell_step(self, title: str, outcome: Outcome) -> None:
        self.aside.print(step_line(title, outcome, self.aside), soft_wrap=True)

    async def _examine(self, *, as_it_comes: bool) -> tuple[Settings | None, Examined]:
        """Check with all settings; where some are wrong, tell them and go on with those that Marketo needs."""
        settings, problems = self._settings()
        if settings is None:
            examined = without_asking(SettingsInvalid(problems))
            if as_it_comes:
                print_report(examined.report, self.console)
            return None, examined
        page = Page(self.console)
        tell = page.tell if as_it_comes else tell_nobody
        examined = await check_up(settings, problems, tell=tell, slow=self._slow)
        if as_it_comes:
            page.end(examined.report)
        return settings, examined

    def _settings(self) -> tuple[Settings | None, tuple[FieldProblem, ...]]:
        try:
            return load_settings(self.overrides, checks=CHECKS), ()
        except SettingsInvalid as invalid:
            problems = invalid.problems
        try:
            return load_settings(self.overrides, checks=CHECKS, only=NEEDED), problems
        except SettingsInvalid:
            return None, problems

    def _slow(self, because: str) -> None:
        """Say once why it takes long."""
        if not self._told_slow:
            self._told_slow.append(because)
            self._say(f"  This takes a while: Marketo is asked slowly, since {because}.")

    async def _offer(self, settings: Settings, fixes: tuple[Fix, ...]) -> bool:
        """Show what would be done, and do it when one agrees; tell whether anything was tried."""
        if not fixes:
            self._say("Nothing that the APIs let one mend.")
            return False
        self._say("This would be done:")
        for fix in fixes:
            self._say(f"  + {fix.what}")
        if not self.agrees("Do it?"):
            self._say("Nothing was changed.")
            return False
        for fix in fixes:
            await self._mend(settings, fix)
        return True

    async def _mend(self, settings: Settings, fix: Fix) -> None:
        try:
            await mend(settings, fix, slow=self._slow)
        except RelayError as refused:
            self._say(f"  not done: {fix.what}\n    {refused}. It needs {fix.needs}.")
        else:
            self._say(f"  done: {fix.what}")

    def _say(self, text: str) -> None:
        self.aside.print(Text(text), soft_wrap=True)


def json_of(examined: Examined) -> str:
    """Return the report and what could be mended as JSON."""
    document: dict[str, Json] = {**examined.report.as_json(), "fixes": [fix.what for fix in examined.fixes]}
    return json.dumps(document, indent=2, ensure_ascii=False)
