"""The README's table of settings is the model's."""

import re
from pathlib import Path

from app.settings.table import as_markdown

ROOT = Path(__file__).parents[1]


def test_the_readme_lists_the_settings_as_they_are() -> None:
    """Mend it with: python -m app.settings --markdown, between the two markers."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [table] = re.findall(r"<!-- settings -->\n(.*?)\n<!-- /settings -->", readme, re.DOTALL)

    assert table.strip() == as_markdown()
