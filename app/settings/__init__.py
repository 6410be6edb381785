"""Read the settings: names, kinds, defaults and meaning of all that can be set. Importing this reads nothing."""

from app.settings.doubts import doubts_of
from app.settings.layers import FILES, secret_fields
from app.settings.load import load_settings, render_problems
from app.settings.model import Settings, WebinarSettings
from app.settings.rules import Checks
from app.settings.table import SettingRow, settings_table

__all__ = [
    "FILES",
    "Checks",
    "SettingRow",
    "Settings",
    "WebinarSettings",
    "doubts_of",
    "load_settings",
    "render_problems",
    "secret_fields",
    "settings_table",
]
