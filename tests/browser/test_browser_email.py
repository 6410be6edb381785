"""The demo's e-mail as a person sees it; the README shows this picture."""

import subprocess
from pathlib import Path

from playwright.sync_api import Browser

from tests.e2e.harness import demo_command, demo_environment


def test_the_demos_email_shows_its_title_link_and_image(browser: Browser, tmp_path: Path, gallery: Path) -> None:
    """Opened from the file that the demo wrote, with nothing running any more."""
    subprocess.run(demo_command(), cwd=tmp_path, env=demo_environment(), check=True, timeout=100)
    written = next(path for path in (tmp_path / "mails").glob("*.html") if "ada.lovelace" in path.read_text())
    context = browser.new_context(viewport={"width": 800, "height": 600}, device_scale_factor=1)
    page = context.new_page()
    page.goto(written.as_uri())
    assert "Hi Ada" in page.inner_text("body")
    assert page.locator("a[href^='https://zoom.example.com/']").first.is_visible()
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    page.screenshot(path=gallery / "email.png", full_page=True)
    assert (gallery / "email.png").stat().st_size > 10_000
    context.close()
