"""Settings come from several layers; what is wrong in any of them is told at once and in words."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.errors import FieldProblem, SettingsInvalid
from app.settings import FILES, Checks, Settings, load_settings, render_problems, settings_table

GOOD_SECRET = "q7Zr-1mVt_9KxLwP2cYb"
GOOD = {
    "MARKETO_BASE_URL": "https://482-XKB-119.mktorest.com",
    "MARKETO_CLIENT_ID": "an-id",
    "MARKETO_CLIENT_SECRET": "s",
    "MARKETO_CAMPAIGN_ID": "1234",
    "CUSTOM_API_KEYS": GOOD_SECRET,
}

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load settings in an empty folder, from the given variables over those that are needed."""

    def loaded(variables: dict[str, str] | None = None, /, **options: object) -> Settings:
        environ = GOOD | (variables or {})
        return load_settings(options, environ=environ, folder=tmp_path)

    return loaded


def problems(call: Callable[[], object]) -> dict[str, str]:
    with pytest.raises(SettingsInvalid) as refused:
        call()
    return {problem.field: problem.problem for problem in refused.value.problems}


def test_five_settings_are_enough(load: Load) -> None:
    """An engineer with a Marketo account fills in five and starts."""
    settings = load()

    assert settings.marketo_campaign_id == "1234"
    assert settings.custom_api_keys == (SecretStr(GOOD_SECRET),)
    assert settings.database_url.get_secret_value() == "sqlite:///data/relay.db"
    assert (settings.host, settings.port, settings.log_level, settings.log_format) == ("0.0.0.0", 8080, "info", "json")
    assert settings.eventbrite_actions == ("order.placed", "attendee.updated")
    assert settings.forwarded_allow_ips == ()


def test_making_settings_reads_nothing_but_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test builds must not depend on the machine that runs it."""
    monkeypatch.setenv("PORT", "9999")

    assert Settings().port == 8080
    assert Settings(port=1).port == 1


def test_the_process_environment_and_folder_are_read_unless_others_are_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("PORT=7000\n")

    assert load_settings().port == 7000


def test_the_stronger_layer_wins(load: Load, tmp_path: Path) -> None:
    """Options, environment, .env, relay.toml, default: in this order."""
    (tmp_path / "relay.toml").write_text("port = 1\nLOG_LEVEL = 'debug'\nhost = '10.0.0.1'\nmax_body_bytes = 2048\n")
    (tmp_path / ".env").write_text("PORT=2\nLOG_LEVEL=error\nHOST=10.0.0.2\n")

    settings = load({"PORT": "3", "HOST": "10.0.0.3"}, port=4)

    assert (settings.port, settings.host) == (4, "10.0.0.3")
    assert (settings.log_level, settings.max_body_bytes) == ("error", 2048)
    assert settings.log_format == "json"


def test_an_option_that_was_not_given_hides_nothing(load: Load) -> None:
    assert load({"PORT": "3"}, port=None).port == 3


def test_empty_text_counts_as_absent_except_for_secrets(load: Load, tmp_path: Path) -> None:
    """`PORT=` in an .env means the default; `ADMIN_TOKEN=` is a secret that somebody forgot to fill in."""
    (tmp_path / ".env").write_text("PORT=5000\n")
    assert load({"PORT": " ", "MARKETO_PARTITION": ""}).port == 5000

    found = problems(lambda: load({"ADMIN_TOKEN": "", "MARKETO_CLIENT_SECRET": "", "MARKETO_CLIENT_ID": ""}))

    assert found["ADMIN_TOKEN"].startswith("is empty")
    assert found["MARKETO_CLIENT_SECRET"].startswith("is empty")
    assert found["MARKETO_CLIENT_ID"].startswith("is missing")


def test_all_that_is_missing_is_named_with_what_it_is_and_where_one_finds_it(tmp_path: Path) -> None:
    """Nobody should start the relay five times to hear of five mistakes."""
    found = problems(lambda: load_settings(environ={}, folder=tmp_path))

    assert list(found)[:4] == [
        "MARKETO_BASE_URL",
        "MARKETO_CLIENT_ID",
        "MARKETO_CLIENT_SECRET",
        "MARKETO_CAMPAIGN_ID",
    ]
    assert "Admin > Integration > Web Services" in found["MARKETO_BASE_URL"]
    assert "LaunchPoint" in found["MARKETO_CLIENT_SECRET"]
    assert "browser" in found["MARKETO_CAMPAIGN_ID"]
    [no_source] = [text for name, text in found.items() if "PENDO_WEBHOOK_SECRET" in name]
    assert "Eventbrite" in no_source
    assert "Pendo" in no_source
    assert "own apps" in no_source


def test_mistakes_are_told_in_the_order_of_the_example_file(load: Load) -> None:
    """One goes through the file once."""
    found = problems(lambda: load({"PORT": "x", "MARKETO_CAMPAIGN_ID": "", "MARKETO_LEAD_MODE": "x", "HOST": ""}))

    assert list(found) == ["MARKETO_CAMPAIGN_ID", "MARKETO_LEAD_MODE", "PORT"]


def test_mistakes_of_every_layer_are_told_together(load: Load, tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("mraketo_partition = 'x'\n[webinars.w-1]\nstarts_at = 2026-12-01T10:00:00\n")
    (tmp_path / ".env").write_text("LOG_LEVL=debug\nPORT=abc\nPOSTGRES_PASSWORD=not-ours\n")

    found = problems(
        lambda: load(
            {
                "MARKETO_CAMPAIGN_ID": "",
                "ADMIN_TOKEN": "change-me",
                "CUSTOM_API_KEYS_FILE": "/nowhere",
                "PENDO_HOST": "x",
            }
        )
    )

    assert set(found) == {
        "MRAKETO_PARTITION",
        "webinars.w-1.starts_at",
        "LOG_LEVL",
        "PORT",
        "MARKETO_CAMPAIGN_ID",
        "ADMIN_TOKEN",
        "CUSTOM_API_KEYS_FILE",
    }
    assert "did you mean MARKETO_PARTITION?" in found["MRAKETO_PARTITION"]
    assert "did you mean LOG_LEVEL?" in found["LOG_LEVL"]
    assert "2026-12-01T16:00:00Z" in found["webinars.w-1.starts_at"]


def test_a_misspelt_variable_is_told_but_not_the_ones_that_kubernetes_adds(load: Load) -> None:
    """A service named `pendo` adds PENDO_SERVICE_HOST to every container beside it."""
    others = {"PENDO_SERVICE_HOST": "10.0.0.1", "RELAY_PORT": "tcp://10.0.0.1:80", "HOSTS": "/etc/hosts"}

    found = problems(lambda: load(others | {"MARKETO_LEADMODE": "lookup"}))

    assert found.keys() == {"MARKETO_LEADMODE"}


def test_an_unknown_name_like_none_of_ours_points_to_the_list(load: Load, tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("[zzzzzz]\nbase_url = 'x'\n")

    assert ".env.example" in problems(load)["ZZZZZZ"]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_can_stand_in_a_file(load: Load, tmp_path: Path, ending: str) -> None:
    """Containers get secrets as files; editors end them with one line break."""
    (tmp_path / "token").write_bytes(GOOD_SECRET.upper().encode() + ending.encode())

    settings = load({"ADMIN_TOKEN_FILE": str(tmp_path / "token")})

    assert settings.admin_token == (SecretStr(GOOD_SECRET.upper()),)


def test_a_file_named_in_relay_toml_is_read_too(load: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(GOOD_SECRET.upper())
    (tmp_path / "relay.toml").write_text("admin_token_file = 'token'\n")

    assert load().admin_token == (SecretStr(GOOD_SECRET.upper()),)


def test_only_one_line_break_is_taken_away(load: Load, tmp_path: Path) -> None:
    """A second one would be part of the secret, so it is told rather than guessed away."""
    (tmp_path / "key").write_text(GOOD_SECRET.upper() + "\n\n")
    variables = {"PENDO_WEBHOOK_SECRET": GOOD_SECRET.lower(), "PENDO_INTEGRATION_KEY_FILE": "key"}

    assert "line break" in problems(lambda: load(variables))["PENDO_INTEGRATION_KEY"]


def test_a_value_and_a_file_for_it_exclude_one_another(load: Load, tmp_path: Path) -> None:
    """Whichever won, the other one would be the secret that somebody believes is in use."""
    (tmp_path / ".env").write_text("MARKETO_CLIENT_SECRET_FILE=secret\n")
    (tmp_path / "secret").write_text("x")

    found = problems(load)

    assert found == {"MARKETO_CLIENT_SECRET_FILE": "stands beside MARKETO_CLIENT_SECRET; keep one of the two"}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "directory"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "not UTF-8"),
        (lambda path: path.write_text("x" * 70_000), "longer than 65536"),
    ],
)
def test_a_secret_file_that_cannot_be_read_is_named(
    load: Load, tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    make(tmp_path / "token")

    found = problems(lambda: load({"ADMIN_TOKEN_FILE": str(tmp_path / "token")}))

    assert reason in found["ADMIN_TOKEN_FILE"]


def test_an_empty_path_of_a_secret_file_is_told(load: Load) -> None:
    assert "must name a file" in problems(lambda: load({"ADMIN_TOKEN_FILE": ""}))["ADMIN_TOKEN_FILE"]


def test_the_toml_file_may_lie_elsewhere(load: Load, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("port = 1\n")
    (tmp_path / ".env").write_text("RELAY_CONFIG=other.toml\n")

    assert load().port == 1
    assert load(relay_config=tmp_path / "other.toml").port == 1
    assert "No such file" in problems(lambda: load({"RELAY_CONFIG": "absent.toml"}))["absent.toml"]


def test_a_named_toml_file_cannot_name_another(load: Load, tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("relay_config = 'other.toml'\n")

    assert "cannot stand in relay.toml" in problems(load)["RELAY_CONFIG"]


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2"])
def test_a_broken_toml_file_is_told_by_name(load: Load, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "relay.toml").write_bytes(content)

    assert problems(load)["relay.toml"].startswith("cannot be read: ")


def test_a_broken_env_file_is_told_by_name(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=\xff\n")

    assert problems(load) == {".env": "cannot be read: it is not UTF-8 text"}


def test_a_byte_order_mark_is_harmless(load: Load, tmp_path: Path) -> None:
    """Notepad writes one."""
    (tmp_path / ".env").write_text("PORT=7000\n", encoding="utf-8-sig")
    (tmp_path / "relay.toml").write_text("host = '10.0.0.1'\n", encoding="utf-8-sig")

    assert (load().port, load().host) == (7000, "10.0.0.1")


def test_a_line_of_an_env_file_without_value_counts_as_empty(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT\n")

    assert load().port == 8080


def test_one_name_in_two_cases_is_told(load: Load, tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("port = 1\nPORT = 2\n")

    assert "stands twice" in problems(load)["PORT"]


def test_what_only_marketo_can_judge_is_told_with_the_rest(tmp_path: Path) -> None:
    """The address and the campaigns are understood elsewhere, yet all mistakes come in one answer."""

    def refuse(text: str) -> None:
        raise ValueError(f"no good: {text}")

    environ = GOOD | {
        "MARKETO_ALLOWED_CAMPAIGN_IDS": "7, 8",
        "CUSTOM_CAMPAIGN_ID": "9",
        "PORT": "abc",
        "EVENTBRITE_API_TOKEN": "short",
    }
    (tmp_path / "relay.toml").write_text("[webinars.w-1]\ncampaign_id = 10\n")

    with pytest.raises(SettingsInvalid) as refused:
        load_settings(environ=environ, folder=tmp_path, checks=Checks(base_url=refuse, campaign=refuse))

    told = [(problem.field, problem.problem) for problem in refused.value.problems]
    assert ("MARKETO_BASE_URL", "no good: https://482-XKB-119.mktorest.com") in told
    assert ("MARKETO_CAMPAIGN_ID", "no good: 1234") in told
    assert ("MARKETO_ALLOWED_CAMPAIGN_IDS", "no good: 7") in told
    assert ("MARKETO_ALLOWED_CAMPAIGN_IDS", "no good: 8") in told
    assert ("CUSTOM_CAMPAIGN_ID", "no good: 9") in told
    assert ("webinars.w-1.campaign_id", "no good: 10") in told
    assert {"PORT", "EVENTBRITE_API_TOKEN"} <= {field for field, _ in told}


def test_a_command_that_needs_two_settings_judges_two(tmp_path: Path) -> None:
    """`relay migrate` must run where Marketo's secrets are not."""
    settings = load_settings(environ={"PORT": "abc"}, folder=tmp_path, only={"database_url"})

    assert settings.database_url == SecretStr("sqlite:///data/relay.db")
    found = problems(lambda: load_settings(environ={"PORT": "abc"}, folder=tmp_path, only={"port"}))
    assert found.keys() == {"PORT"}


@pytest.mark.parametrize(
    ("environ", "needed", "field"),
    [
        ({"RELAY_URI": "http://127.0.0.1"}, "relay_url", "RELAY_URI"),
        ({"DATABASE_URL_FILE": "nowhere"}, "database_url", "DATABASE_URL_FILE"),
        ({"RELAY_CONFIG": "relay.toml"}, FILES, "relay.toml"),
        ({"RELAY_CONFIG": "titled.toml"}, "webinars", "webinars.w-1.titel"),
    ],
)
def test_what_was_misread_concerns_those_who_need_what_it_was_meant_to_be(
    environ: dict[str, str], needed: str, field: str, tmp_path: Path
) -> None:
    """A misspelt RELAY_URL would else lead `relay events` to a store that knows of nothing."""
    (tmp_path / "relay.toml").write_text("database_url = ")
    (tmp_path / "titled.toml").write_text('[webinars.w-1]\ntitel = "Engines"\n')
    environ = {"RELAY_CONFIG": "titled.toml"} | environ
    assert problems(lambda: load_settings(environ=environ, folder=tmp_path, only={needed})).keys() == {field}
    assert load_settings(environ=environ, folder=tmp_path, only={"host"}).host == "0.0.0.0"  # the default


def test_what_is_only_tried_out_may_lack_what_sending_needs(tmp_path: Path) -> None:
    """But nothing of what is there may be wrong."""
    assert load_settings(environ={}, folder=tmp_path, may_lack=True).marketo_campaign_id == ""
    environ = {"PORT": "abc", "MARKETO_TOKEN_TITLE": "JoinLink"}
    told = problems(lambda: load_settings(environ=environ, folder=tmp_path, may_lack=True))
    assert told.keys() == {"PORT", "MARKETO_TOKEN_TITLE, MARKETO_TOKEN_JOIN_LINK, MARKETO_TOKEN_IMAGE"}


def test_problems_are_rendered_for_a_terminal() -> None:
    several = render_problems([FieldProblem("A", "is missing."), FieldProblem("B", "is empty")], in_vain="No copy")

    assert several.splitlines()[0] == "No copy: 2 settings need attention."
    assert "  A\n      is missing.\n  B\n      is empty\n" in several
    assert "one setting needs attention" in render_problems([FieldProblem("A", "is missing.")], in_vain="No copy")


def test_every_secret_is_listed_for_the_log_to_mask(load: Load) -> None:
    settings = load(
        {
            "MARKETO_CLIENT_SECRET": "marketos",
            "PENDO_WEBHOOK_SECRET": "pendo-q7Zr-1mVt_9KxL",
            "PENDO_INTEGRATION_KEY": "key-q7Zr-1mVt_9KxLwP.us",
            "DATABASE_URL": "postgresql://relay:open%2Fsesame@db/relay",
        }
    )

    assert set(settings.secrets()) == {
        GOOD_SECRET,
        "marketos",
        "pendo-q7Zr-1mVt_9KxL",
        "key-q7Zr-1mVt_9KxLwP.us",
        "open/sesame",
    }
    assert set(load().secrets()) == {GOOD_SECRET, "s"}


def test_a_password_in_the_query_of_the_databases_address_is_masked_too(load: Load) -> None:
    """PostgreSQL takes it there as well, also the one of a client certificate's key."""
    url = "postgresql://db/relay?user=relay&password=open%2Fsesame&sslpassword=key+phrase"
    assert set(load({"DATABASE_URL": url}).secrets()) == {GOOD_SECRET, "s", "open/sesame", "key phrase"}


_TEXT = st.text(st.characters(exclude_characters="\0"), max_size=40)


@given(st.dictionaries(st.sampled_from([row.name for row in settings_table()]), _TEXT, max_size=8))
def test_any_text_is_taken_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    """No value makes a traceback, and the refusal of a secret does not show it."""
    folder = tmp_path_factory.getbasetemp()
    try:
        load_settings(environ=GOOD | values, folder=folder)
    except SettingsInvalid as refused:
        told = {name: text for p in refused.problems for name, text in [(p.field, p.problem)]}
        secret = {row.name for row in settings_table() if row.secret} & told.keys() & values.keys()
        for name in secret:
            long = [part for part in re.split(r"[\s,]+", values[name]) if len(part) > 12]
            assert not any(part in told[name] for part in long)


def test_limits_that_marketo_does_not_have_are_told_at_the_start_with_their_setting(load: Load) -> None:
    """A window of 0 would send nothing, and 50 at a time be refused by Marketo, for everybody who uses the instance."""
    wrong = {
        "MARKETO_CALLS_PER_WINDOW": "0",
        "MARKETO_MAX_IN_FLIGHT": "50",
        "MARKETO_CALLS_PER_DAY": "99999999999",
    }
    found = problems(lambda: load(wrong))
    assert set(found) == set(wrong)
    assert "from 1 to 100" in found["MARKETO_CALLS_PER_WINDOW"]
    assert "from 1 to 10" in found["MARKETO_MAX_IN_FLIGHT"]
    assert "from 1 to 10000000" in found["MARKETO_CALLS_PER_DAY"]
