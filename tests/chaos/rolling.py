"""A rolling restart of three replicas behind HAProxy: no request fails. Senders here try nothing twice."""

import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx

from tests.chaos.senders import Senders
from tests.chaos.stage import Stage
from tests.e2e.harness import ROOT, free_port, until, web

_CONFIGURATION = ROOT / "deploy" / "haproxy.cfg"


def is_possible() -> bool:
    """Tell whether HAProxy is installed here."""
    return shutil.which("haproxy") is not None


def rolled(stage: Stage, rng: random.Random, times: int) -> Senders:
    """Stop and start each of three replicas, one after the other, so many times in a row."""
    del rng
    ports = [stage.port() for _ in range(3)]
    relays = {port: stage.start(port) for port in ports}
    front = free_port()
    balancer = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(_written(stage.folder, front, ports))])
    try:
        until(lambda: _is_up(front), within=30, what="the load balancer")
        with stage.senders([front]) as senders:
            for _ in range(times):
                for port in ports:
                    time.sleep(1)
                    assert relays[port].process.stop() == 0
                    relays[port] = stage.start(port)
            time.sleep(1)
    finally:
        balancer.terminate()
        balancer.wait(10)
    return senders


def _is_up(port: int) -> bool:
    try:
        return web.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _written(folder: Path, front: int, ports: list[int]) -> Path:
    """Return the configuration of `deploy/`, with these replicas in the place of Docker's."""
    text = _CONFIGURATION.read_text()
    text = re.sub(r"^\s*bind .*$", f"  bind 127.0.0.1:{front}", text, flags=re.MULTILINE)
    servers = "\n".join(f"  server relay{port} 127.0.0.1:{port} check" for port in ports)
    text = re.sub(r"^\s*server-template .*$", servers, text, flags=re.MULTILINE)
    text = re.sub(r"^resolvers .*?(?=^\S)", "", text, flags=re.MULTILINE | re.DOTALL)
    path = folder / "haproxy.cfg"
    path.write_text(text)
    return path
