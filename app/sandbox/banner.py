"""What `relay sandbox` prints when it listens: where things are, and the settings for a relay pointed to it."""

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from app.sandbox import seed
from app.sandbox.config import SandboxConfig


def relay_settings(url: str, config: SandboxConfig | None = None) -> dict[str, str]:
    """Return the environment of a relay that works against the simulation at `url`; every secret is a demonstration."""
    chosen = config or SandboxConfig()
    credential = chosen.credentials[0]
    return {
        "MARKETO_BASE_URL": url,
        "MARKETO_CLIENT_ID": credential.client_id,
        "MARKETO_CLIENT_SECRET": credential.client_secret,
        "MARKETO_CAMPAIGN_ID": str(seed.CAMPAIGN_ID),
        "EVENTBRITE_WEBHOOK_TOKEN": seed.EVENTBRITE_WEBHOOK_TOKEN,
        "EVENTBRITE_API_TOKEN": chosen.eventbrite_token,
        "EVENTBRITE_API_URL": f"{url}/eventbrite/v3",
        "PENDO_WEBHOOK_SECRET": seed.PENDO_WEBHOOK_SECRET,
        "PENDO_INTEGRATION_KEY": chosen.pendo_key,
        "PENDO_API_URL": f"{url}/pendo",
        "CUSTOM_WEBHOOK_SECRETS": seed.CUSTOM_WEBHOOK_SECRET,
        "CUSTOM_API_KEYS": seed.CUSTOM_API_KEY,
    }


def print_banner(url: str, config: SandboxConfig, console: Console | None = None) -> None:
    """Say that nothing leaves this machine, the addresses, the limits, and the settings to paste, unwrapped."""
    out = console or Console()
    out.print(
        Panel(
            Text("Nothing leaves this machine: no e-mail is sent, no account is touched.", style="bold"),
            title="Simulated Marketo, Eventbrite and Pendo",
            border_style="cyan",
            expand=False,
        )
    )
    out.print(_addresses(url, config))
    out.print("\nSettings for a relay pointed to it (.env):", style="bold")
    for name, value in relay_settings(url, config).items():
        out.print(f"{name}={value}", soft_wrap=True, markup=False, highlight=False)
    out.print("\nCtrl-C ends it, and everything in it is forgotten.", style="dim")


def _addresses(url: str, config: SandboxConfig) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in (
        ("page", f"{url}/"),
        ("Marketo", f"{url}/rest  {url}/identity"),
        ("Eventbrite", f"{url}/eventbrite/v3"),
        ("Pendo", f"{url}/pendo"),
        ("seen so far", f"{url}/sandbox/calls  /emails  /people  /violations  /stats"),
        ("controls", f"{url}/sandbox/faults  /reset  (all: /sandbox/openapi.json)"),
        ("limits", _limits(config)),
    ):
        table.add_row(Text(name, style="dim"), Text(value))
    return table


def _limits(config: SandboxConfig) -> str:
    window = f"{config.calls_per_window} calls in {config.window.total_seconds():g} s"
    latency = f"{config.latency.total_seconds() * 1000:g} ms an answer"
    return f"{window}, {config.max_in_flight} in flight, {config.calls_per_day:,} a day, {latency}"
