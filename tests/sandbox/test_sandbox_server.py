"""The simulation on real sockets and as a command."""

import asyncio
import io
import json
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli import app
from app.sandbox import SandboxConfig, seed
from app.sandbox.__main__ import main
from app.sandbox.banner import print_banner, relay_settings
from app.sandbox.server import _bound, _url, run_sandbox, sandbox_running
from tests.sandbox.account import CREDENTIALS


async def test_it_serves_within_an_event_loop_on_a_free_port() -> None:
    async with sandbox_running() as one, sandbox_running() as other, httpx.AsyncClient() as http:
        assert one.url != other.url
        assert (await http.get(f"{one.url}/sandbox/stats")).json()["calls"] == 0
        await http.post(f"{one.url}/identity/oauth/token", data=CREDENTIALS)
        assert (one.simulation.world.calls.total, other.simulation.world.calls.total) == (1, 0)
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(one.url)


def test_answers_do_not_wait_for_delayed_acknowledgements() -> None:
    """asyncio turns Nagle's algorithm off only where the protocol is named; else each answer takes 40 ms more."""
    with _bound("127.0.0.1", 0) as bound:
        assert bound.proto == socket.IPPROTO_TCP


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    with _bound("::1", 0) as bound:
        assert _url("::1", bound).startswith("http://[::1]:")


async def test_the_command_writes_the_ready_file_prints_the_banner_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = ("-m", "app.sandbox", "--port", "0", "--ready-file", str(ready), "--latency-ms", "0")
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    banner = ""
    while "Ctrl-C" not in banner:
        banner += (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
    url = json.loads(ready.read_text(encoding="utf-8"))["url"]
    assert f"MARKETO_BASE_URL={url}" in banner
    assert "Nothing leaves this machine" in banner
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/")).status_code == 200
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == 0


def test_a_taken_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            run_sandbox(port=taken.getsockname()[1], quiet=True)


@pytest.mark.parametrize("arguments", [["--calls-per-window", "101"], ["--max-in-flight", "11"], ["--no-limits"]])
def test_kinder_limits_are_no_option(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--port", "0"])
    assert ended.value.code == 2
    assert "error" in capsys.readouterr().err


def test_help_names_the_command_that_was_typed() -> None:
    """`relay sandbox --help` is copied from; the module's own name would lead elsewhere."""
    told = CliRunner().invoke(app, ["sandbox", "--help"]).output
    assert told.startswith("usage: relay sandbox ")
    assert "docs/sandbox.md" in told


def test_the_banner_has_every_setting_on_one_line_of_its_own() -> None:
    """They are pasted into a .env."""
    out = io.StringIO()
    print_banner("http://127.0.0.1:8090", SandboxConfig(), Console(file=out, width=40))
    lines = out.getvalue().splitlines()
    for name, value in relay_settings("http://127.0.0.1:8090").items():
        assert f"{name}={value}" in lines
    assert f"MARKETO_CLIENT_SECRET={seed.CLIENT_SECRET}" in lines
