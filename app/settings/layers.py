"""Gather what the surroundings say about settings, layer over layer. Reads files; judges no value.

From the strongest: the command's options, the environment, `.env`, `*_FILE` (a file that holds the value, as container
secrets are), `relay.toml`. All that cannot be read or understood is collected, so that it can be told at once.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from pydantic_settings import DotEnvSettingsSource

from app.errors import FieldProblem
from app.settings.model import Settings

Values = dict[str, object]

VARIABLES = tuple(name for name in Settings.model_fields if name != "webinars")
_OUR_PREFIXES = ("marketo_", "eventbrite_", "pendo_", "custom_", "default_webinar", "default_join", "relay_")
_FILE = "_file"
_LARGEST_SECRET_FILE = 65_536  # characters; nobody's secret is longer, a wrong path may be endless
FILES = ".env and relay.toml"  # one that cannot be read may have said anything of any setting


@dataclass(frozen=True, slots=True)
class Misread:
    """What went wrong while reading, and the setting that may not be what it was meant to be; None: none of ours."""

    problem: FieldProblem
    setting: str | None


@dataclass(slots=True)
class Gathered:
    """The merged values by field name, and what went wrong while reading."""

    values: Values = field(default_factory=dict)
    misread: list[Misread] = field(default_factory=list)

    def blame(self, name: str, problem: str, setting: str | None) -> None:
        self.misread.append(Misread(FieldProblem(name, problem), setting))


def gather(overrides: Mapping[str, object], environ: Mapping[str, str], folder: Path) -> Gathered:
    """Return the values of all layers. `folder` is where `.env` and `relay.toml` are looked for."""
    found = Gathered()
    options = {name: value for name, value in overrides.items() if value is not None}
    surroundings = _read_environment(environ, folder, found)
    config = options.get("relay_config", surroundings.get("relay_config"))
    in_toml = _read_toml(folder, config, found)
    for layer in (in_toml, surroundings):
        found.values |= _with_files_read(layer, folder, found)
    found.values |= options
    return found


def _read_environment(environ: Mapping[str, str], folder: Path, found: Gathered) -> Values:
    """Return the environment over `.env`. Empty text counts as absent, save for secrets: those are told."""
    outside = {name.lower(): value for name, value in environ.items()}
    dotenv = _read_dotenv(folder / ".env", found)
    ours = [name for name in outside if name.startswith(_OUR_PREFIXES)]
    found.misread += _unknown(ours, "the environment", closeness=0.85)
    found.misread += _unknown(dotenv, ".env", closeness=0.85, prefixes=_OUR_PREFIXES)
    given: Values = {}
    for layer in (dotenv, outside):
        given |= {name: value for name, value in layer.items() if _is_given(name, value)}
    return given


def _read_dotenv(path: Path, found: Gathered) -> dict[str, str]:
    try:
        lines = DotEnvSettingsSource(Settings, env_file=path, env_file_encoding="utf-8-sig").env_vars
    except (OSError, UnicodeDecodeError) as error:
        found.blame(".env", f"cannot be read: {_reason(error)}", FILES)
        return {}
    return {name: value or "" for name, value in lines.items()}


def _read_toml(folder: Path, config: object, found: Gathered) -> Values:
    """Return relay.toml's keys in lower case. It may be absent unless it was named."""
    path = folder / str(config or Settings.model_fields["relay_config"].default)
    if not config and not path.exists():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        found.blame(path.name, f"cannot be read: {_reason(error)}", FILES)
        return {}
    return _known_keys(document, path.name, found)


def _known_keys(document: Values, file: str, found: Gathered) -> Values:
    values: Values = {}
    for key, value in document.items():
        name = key.lower()
        if name in values:
            found.blame(key, f"stands twice in {file}, in capitals and without", name)
        values[name] = value
    if values.pop("relay_config", None) is not None:
        found.blame("RELAY_CONFIG", f"cannot stand in {file}, the file that it names", FILES)
    found.misread += _unknown(values, file, prefixes=("",))
    return {name: value for name, value in values.items() if name == "webinars" or _is_variable(name)}


def _with_files_read(layer: Values, folder: Path, found: Gathered) -> Values:
    """Return the layer with each `x_file` replaced by `x`, the file's content."""
    values = {name: value for name, value in layer.items() if name in Settings.model_fields}
    for key in layer.keys() - values.keys():
        name = key.removesuffix(_FILE)
        if name in values:
            found.blame(key.upper(), f"stands beside {name.upper()}; keep one of the two", name)
        elif (content := _read_secret(key, layer[key], folder, found)) is not None:
            values[name] = content
    return values


def _read_secret(key: str, path: object, folder: Path, found: Gathered) -> str | None:
    try:
        if not isinstance(path, str) or not path:
            raise OSError("it must name a file")
        with (folder / path).open(encoding="utf-8-sig", newline="") as file:
            content = file.read(_LARGEST_SECRET_FILE + 1)
        if len(content) > _LARGEST_SECRET_FILE:
            raise OSError(f"it is longer than {_LARGEST_SECRET_FILE} characters")
    except (OSError, ValueError) as error:
        found.blame(key.upper(), f"cannot be read: {_reason(error)}", key.removesuffix(_FILE))
        return None
    return content.removesuffix("\n").removesuffix("\r")


def _reason(error: Exception) -> str:
    """Return why a file cannot be read, without its content: a line of it may hold a secret."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _is_variable(name: str) -> bool:
    return name in VARIABLES or (name.endswith(_FILE) and name.removesuffix(_FILE) in VARIABLES)


def _is_given(name: str, value: str) -> bool:
    return _is_variable(name) and (bool(value.strip()) or _is_secret(name))


def _is_secret(name: str) -> bool:
    """Tell whether an empty value must be told: of a secret, or of the path to one."""
    return name.endswith(_FILE) or "SecretStr" in str(Settings.model_fields[name].annotation)


def _unknown(
    names: Iterable[str], place: str, *, closeness: float = 0.6, prefixes: tuple[str, ...] = ()
) -> list[Misread]:
    """Return a problem for each name that is no setting, if it begins like ours or looks like one misspelt.

    The environment is judged by likeness alone: Kubernetes adds variables such as PENDO_SERVICE_HOST to it.
    """
    problems = []
    for name in names:
        if _is_variable(name) or name == "webinars":
            continue
        near = get_close_matches(name, VARIABLES, n=1, cutoff=closeness)
        if near or name.startswith(prefixes):
            hint = f"; did you mean {near[0].upper()}?" if near else "; .env.example lists them all"
            problem = FieldProblem(name.upper(), f"is no setting of the relay (in {place}){hint}")
            problems.append(Misread(problem, near[0].removesuffix(_FILE) if near else None))
    return problems


def secret_fields() -> frozenset[str]:
    """Return the names of the settings whose values must not be shown."""
    return frozenset(name for name in VARIABLES if _is_secret(name))
