"""What is shipped: the files beside the program keep their promises too."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.sandbox import seed
from app.settings import Settings, load_settings, settings_table
from app.web.console.set_up import PATIENCE

ROOT = Path(__file__).parents[1]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def tracked_files() -> list[Path]:
    """Return the files that git tracks, or without a repository (an unpacked archive) those that lie here."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    found = [ROOT / name for name in names if name] or [
        *ROOT.glob("*"),
        *ROOT.glob("app/**/*"),
        *ROOT.glob("tests/**/*"),
    ]
    return [path for path in found if path.is_file()]


def readable(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def offences(pattern: str) -> list[str]:
    wanted = re.compile(pattern)
    return [
        f"{path.relative_to(ROOT)}: {found[0]}" for path in tracked_files() if (found := wanted.search(readable(path)))
    ]


def test_no_package_registry_is_named_by_its_host() -> None:
    """Which registry is used is the affair of who installs; a mirror must do as well."""
    hosts = ("python" + "hosted.org", "py" + "pi.org", "registry." + "npmjs", "deb." + "debian.org")

    assert offences("|".join(map(re.escape, hosts))) == []


def test_no_path_of_the_machine_it_was_written_on() -> None:
    """A path such as a home folder works for one person."""
    folders = ("work", "farm", "home", "Users")

    assert offences(rf"(^|[^a-zA-Z0-9_./-])/({'|'.join(folders)})/[a-z]") == []


def test_no_env_file_is_tracked() -> None:
    names = {path.name for path in tracked_files()}

    assert not names & {".env", "relay.toml"}


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-dev.lock", "requirements-otel.lock", "requirements-audit.lock"]
)
def test_every_locked_package_has_its_version_and_hashes(name: str) -> None:
    """pip refuses what was exchanged on its way."""
    entries = [entry for entry in re.split(r"\n(?=\S)", text(name).strip()) if not entry.startswith("#")]

    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^\s]+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]
    assert "://" not in text(name)


def test_what_the_tests_run_on_is_what_is_shipped() -> None:
    """A package of both lock files has one version."""

    def versions(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text(name), re.MULTILINE))

    runtime, everything = versions("requirements.lock"), versions("requirements-dev.lock")
    differing = {name for name in runtime.keys() & everything.keys() if runtime[name] != everything[name]}

    assert not differing


def test_every_dependency_that_is_declared_is_locked() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    declared = {re.split(r"[\[<>=;! ]", line, maxsplit=1)[0].lower() for line in project["dependencies"]}
    locked = {
        name.lower() for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", text("requirements.lock"), re.MULTILINE)
    }

    assert declared <= locked


class TestImage:
    """Promises of the Dockerfile that reading it can settle; building it settles the others."""

    dockerfile = text("Dockerfile")

    def test_its_base_is_pinned_to_a_patch_version(self) -> None:
        bases = re.findall(r"^FROM (\S+)", self.dockerfile, re.MULTILINE)

        assert len(bases) == 2
        assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm", base) for base in bases)

    def test_it_runs_as_a_number(self) -> None:
        """Kubernetes' runAsNonRoot can't judge a name."""
        [user] = re.findall(r"^USER (\d+):\d+$", self.dockerfile, re.MULTILINE)

        assert int(user) > 0

    def test_its_version_is_the_programs(self) -> None:
        assert f"ARG VERSION={tomllib.loads(text('pyproject.toml'))['project']['version']}\n" in self.dockerfile

    def test_its_default_database_lies_on_the_volume(self) -> None:
        """The default is relative to the working directory; the volume is what survives."""
        path = Settings().database_url.get_secret_value().removeprefix("sqlite:///")

        assert "WORKDIR /\n" in self.dockerfile
        assert Path("/", path).parent == Path("/data")
        assert "VOLUME /data\n" in self.dockerfile

    def test_only_what_it_needs_is_sent_to_the_builder(self) -> None:
        """An .env or a database beside the Dockerfile must not end in a layer."""
        rules = [line for line in text(".dockerignore").splitlines() if line and not line.startswith("#")]

        assert rules[:4] == ["*", "!requirements.lock", "!requirements-otel.lock", "!app"]
        assert not any(rule.startswith("!") for rule in rules[4:])

    def test_its_extra_is_one_that_has_a_lock_file_and_is_off_by_itself(self) -> None:
        """Whoever sends no traces carries none of what sends them."""
        assert 'ARG EXTRA=""\n' in self.dockerfile
        assert "-r /tmp/requirements${EXTRA:+-$EXTRA}.lock\n" in self.dockerfile
        extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
        assert {f"requirements-{extra}.lock" for extra in extras} <= set(
            re.findall(r"requirements-\S+\.lock", self.dockerfile)
        )

    def test_it_stops_and_is_asked_like_the_service_behind_compose(self) -> None:
        assert "STOPSIGNAL SIGTERM\n" in self.dockerfile
        assert 'CMD ["relay", "healthcheck"]' in self.dockerfile
        assert 'test: ["CMD", "relay", "healthcheck"]' in text("docker-compose.yml")


class TestCompose:
    """No YAML reader is among the packages, so these read lines."""

    compose = text("docker-compose.yml")

    def service(self, name: str) -> str:
        [block] = re.findall(rf"^  {name}:\n((?:    .*\n)+)", self.compose, re.MULTILINE)
        return str(block)

    @pytest.mark.parametrize("name", ["relay", "relay-postgres", "relay-demo"])
    def test_every_relay_is_hardened_and_watched(self, name: str) -> None:
        assert "<<: *hardened" in self.service(name)
        assert re.search(r"healthcheck: \*healthy|healthcheck:\n +<<: \*healthy", self.service(name))

    def test_hardened_means_no_writing_no_rights_and_time_to_drain(self) -> None:
        for line in ("read_only: true", "tmpfs: [/tmp]", "cap_drop: [ALL]", '"no-new-privileges:true"'):
            assert line in self.compose
        [grace] = re.findall(r"stop_grace_period: (\d+)s # the relay", self.compose)
        assert int(grace) > 10

    def test_data_lie_on_named_volumes(self) -> None:
        assert 'volumes: ["data:/data"]' in self.service("relay")
        assert 'volumes: ["postgres:/var/lib/postgresql/data"]' in self.service("postgres")

    def test_the_demo_takes_no_port_of_the_relay_beside_it(self) -> None:
        """`docker compose --profile demo up` starts every service without a profile too."""
        published = {
            name: set(re.findall(r"(\d+)\}?:\d+\"", self.service(name))) for name in ("relay", "relay-demo", "sandbox")
        }

        assert published["relay"] == {"8080"}
        assert not published["relay"] & (published["sandbox"] | published["relay-demo"])

    def test_other_images_are_pinned(self) -> None:
        assert re.search(r"image: postgres:\d+\.\d+-", self.service("postgres"))
        assert re.search(r"image: haproxy:\d+\.\d+\.\d+-", self.service("balancer"))

    def test_the_balancer_knows_as_many_replicas_as_there_are_and_asks_whether_they_are_ready(self) -> None:
        """Its file names the service; a replica that is not named would get nothing."""
        [replicas] = re.findall(r"deploy: {replicas: (\d+)}", self.service("relay-postgres"))

        assert f"server-template relay {replicas} relay-postgres:8080 check" in text("deploy/haproxy.cfg")
        assert "option httpchk GET /readyz" in text("deploy/haproxy.cfg")
        assert "./deploy/haproxy.cfg:" in self.service("balancer")

    def test_the_balancer_waits_for_pages_as_long_as_they_may_take(self) -> None:
        """Else it answers 504 while the relay is at work."""
        waits = r"http-request set-timeout server (\d+)s if { path_beg /console/ /api/ }"
        [seconds] = re.findall(waits, text("deploy/haproxy.cfg"))

        assert int(seconds) > PATIENCE.total_seconds()

    def test_no_password_stands_in_it(self) -> None:
        assert re.findall(r"PASSWORD:|://[^:/\s]+:[^%@\s]+@", self.compose) == []

    def demo_settings(self) -> dict[str, str]:
        found = re.findall(r'^ {6}([A-Z_]+): "?(.+?)"?$', self.service("relay-demo"), re.MULTILINE)
        return {str(name): str(value) for name, value in found}

    def test_the_demos_settings_start_a_relay(self, tmp_path: Path) -> None:
        settings = load_settings(environ=self.demo_settings(), folder=tmp_path)

        assert settings.marketo_base_url.startswith("http://127.0.0.1:")

    def test_the_demos_secrets_are_the_simulations(self) -> None:
        """With others, every call of the demo would be refused."""
        given = self.demo_settings()

        assert given["MARKETO_CLIENT_ID"] == seed.CLIENT_ID
        assert given["MARKETO_CLIENT_SECRET"] == seed.CLIENT_SECRET
        assert given["MARKETO_CAMPAIGN_ID"] == str(seed.CAMPAIGN_ID)
        assert given["EVENTBRITE_WEBHOOK_TOKEN"] == seed.EVENTBRITE_WEBHOOK_TOKEN
        assert given["EVENTBRITE_API_TOKEN"] == seed.EVENTBRITE_API_TOKEN
        assert given["PENDO_WEBHOOK_SECRET"] == seed.PENDO_WEBHOOK_SECRET
        assert given["PENDO_INTEGRATION_KEY"] == seed.PENDO_INTEGRATION_KEY
        assert given["CUSTOM_WEBHOOK_SECRETS"] == seed.CUSTOM_WEBHOOK_SECRET
        assert given["CUSTOM_API_KEYS"] == seed.CUSTOM_API_KEY
        assert given["ADMIN_TOKEN"] == seed.ADMIN_TOKEN

    def test_its_variables_are_settings(self) -> None:
        """A misspelt variable would be set for nobody."""
        known = {row.name for row in settings_table()}
        used = set(re.findall(r"^ {6}([A-Z_]+):", self.service("relay") + self.service("relay-postgres"), re.MULTILINE))

        assert used
        assert {name.removesuffix("_FILE") for name in used} <= known


def test_the_example_of_a_relay_toml_is_valid(tmp_path: Path) -> None:
    """It is copied as it stands."""
    environ = {
        "RELAY_CONFIG": str(ROOT / "docs/relay.example.toml"),
        "MARKETO_BASE_URL": "https://482-XKB-119.mktorest.com",
        "MARKETO_CLIENT_ID": "4f8c1d92-6a37",
        "MARKETO_CLIENT_SECRET": "vQ7mLzR2xKc9",
        "MARKETO_CAMPAIGN_ID": "1",
        "CUSTOM_API_KEYS": "q7Zr-1mVt_9KxLwP2cYb",
    }

    settings = load_settings(environ=environ, folder=tmp_path)

    assert settings.webinars["w-42"].aliases == ("1234567890123",)
    assert settings.webinars["64592778740"].title is None


@pytest.mark.parametrize("target", ["setup", "demo", "run"])
def test_each_target_that_prepares_the_program_leaves_its_command_behind(target: str, tmp_path: Path) -> None:
    """Whoever has seen the demo types `.venv/bin/relay` next."""
    for name in ("Makefile", "requirements.lock"):
        (tmp_path / name).write_text(text(name), encoding="utf-8")
    planned = subprocess.run(["make", "-n", target], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert "chmod +x .venv/bin/relay" in planned.stdout


def test_the_command_works_in_any_folder(tmp_path: Path) -> None:
    """Also behind a link, and where a folder happens to be called app."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise SystemExit('the wrong app')")
    (tmp_path / "linked").symlink_to(Path(sys.executable).parent / "relay")
    for command in (Path(sys.executable).parent / "relay", tmp_path / "linked"):
        ended = subprocess.run([command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.stdout.startswith("relay "), ended.stderr


def test_ci_runs_the_checks_and_then_the_tests() -> None:
    script = text(".ci/run")

    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    commands = ["\nset -euo pipefail\n", "\nmake check\n", "\nmake test\n", "\nmake test-browser\n"]
    places = [script.index(command) for command in commands]
    assert places == sorted(places)


def test_pre_commit_fetches_nothing() -> None:
    """Its hooks are those of `make check`, from the same .venv."""
    hooks = text(".pre-commit-config.yaml")

    assert re.findall(r"repo: (\S+)", hooks) == ["local"]
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports"):
        assert f"entry: .venv/bin/{tool}" in hooks
