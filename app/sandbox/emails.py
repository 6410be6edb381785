"""The reminder as Marketo would render it: the tutorial's template with its tokens. Rendered when somebody looks."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.sandbox import seed

SUBJECT = "Reminder: {{my.WebinarTitle}}"
FROM_NAME, FROM_EMAIL = "Example Events", "webinars@example.com"
LEAD_TOKENS = {
    "First Name": "firstName",
    "Last Name": "lastName",
    "Email Address": "email",
    "Webinar Join Link": seed.JOIN_LINK_FIELD,
}
_TOKEN = re.compile(r"\{\{(lead|my)\.([^{}:]+)(?::default=([^{}]*))?\}\}")

_TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{my.WebinarTitle}}</title>
</head>
<body style="margin:0;padding:0;background:#eef1f6;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="background:#eef1f6;">
<tr><td align="center" style="padding:36px 16px;">
<table role="presentation" width="560" cellpadding="0" cellspacing="0" border="0" style="width:560px;max-width:100%;\
background:#ffffff;border-radius:14px;overflow:hidden;border:1px solid #dfe4ee;\
font-family:'Segoe UI',Helvetica,Arial,sans-serif;color:#1d2433;">
<tr><td style="padding:0;line-height:0;">
<img src="{{my.WebinarImage}}" width="560" alt="{{my.WebinarTitle}}" \
style="display:block;width:100%;height:auto;border:0;background:#3b3fa8;">
</td></tr>
<tr><td style="padding:34px 40px 8px;font-size:16px;line-height:25px;">
Hi {{lead.First Name:default=Customer}},
</td></tr>
<tr><td style="padding:8px 40px 0;font-size:16px;line-height:25px;color:#4a5468;">
You are registered for
</td></tr>
<tr><td style="padding:6px 40px 0;font-size:25px;line-height:33px;font-weight:700;color:#141a2a;">
{{my.WebinarTitle}}
</td></tr>
<tr><td align="left" style="padding:28px 40px 0;">
<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>
<td style="background:#4b4ee0;border-radius:9px;">
<a href="[link]" style="display:inline-block;padding:14px 30px;font-size:16px;font-weight:600;color:#ffffff;\
text-decoration:none;">Join the webinar</a>
</td></tr></table>
</td></tr>
<tr><td style="padding:22px 40px 0;font-size:13px;line-height:20px;color:#6d7789;word-break:break-all;">
Or open this link: <a href="[link]" style="color:#4b4ee0;">[link]</a>
</td></tr>
<tr><td style="padding:30px 40px 34px;font-size:16px;line-height:25px;color:#4a5468;">
See you there!
</td></tr>
<tr><td style="padding:18px 40px;background:#f6f8fb;border-top:1px solid #e6eaf2;font-size:12px;line-height:18px;\
color:#8891a3;">
{{my.CompanyName}} sent this to {{lead.Email Address}} because you registered.
</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
"""
_REMINDER = _TEMPLATE.replace("[link]", "{{my.JoinLink}}")


@dataclass(frozen=True, slots=True)
class Mail:
    """How a program's e-mail is written, and whether it may leave: not as a draft, nor to whom it may not reach."""

    subject: str = SUBJECT
    html: str = _REMINDER
    approved: bool = True
    operational: bool = True


@dataclass(frozen=True, slots=True)
class Email:
    """One message for one person. `html` is made when it is read.

    `lead` holds the person's fields as they were when Marketo made the e-mail, which is some time after the request.
    """

    n: int
    at: datetime
    lead_id: int
    campaign_id: int
    mail: Mail
    email_id: int
    request_id: str
    lead: dict[str, Any]
    own: Mapping[str, str]
    passed: Mapping[str, str]

    @property
    def tokens(self) -> dict[str, str]:
        """Return what the request passed over the program's own My Tokens, which alone may read person fields."""
        return {name: fill(value, self.lead, {}, escape=False) for name, value in self.own.items()} | dict(self.passed)

    @property
    def to(self) -> str:
        return str(self.lead["email"])

    @property
    def subject(self) -> str:
        return fill(self.mail.subject, self.lead, self.tokens, escape=False)

    @property
    def html(self) -> str:
        return fill(self.mail.html, self.lead, self.tokens, escape=True)

    def as_json(self, *, with_html: bool = True) -> dict[str, Any]:
        document = {
            "n": self.n,
            "at": self.at.isoformat(),
            "to": self.to,
            "subject": self.subject,
            "leadId": self.lead_id,
            "campaignId": self.campaign_id,
            "requestId": self.request_id,
            "tokens": self.tokens,
            "passedTokens": dict(self.passed),
        }
        return {**document, "html": self.html} if with_html else document


def fill(text: str, lead: Mapping[str, Any], tokens: Mapping[str, str], *, escape: bool) -> str:
    """Put values in the place of tokens, in one pass: what a value contains is never read as a token again."""

    def value_of(found: re.Match[str]) -> str:
        kind, name, default = found.groups()
        value = lead.get(LEAD_TOKENS.get(name, name)) if kind == "lead" else tokens.get(name)
        shown = str(value) if value else default or ""
        return html.escape(shown, quote=True) if escape else shown

    return _TOKEN.sub(value_of, text)


def banner(title: str) -> str:
    """Return a picture for a webinar that needs no network: an SVG with the title on it."""
    lines = _lines(title or seed.DEFAULT_TITLE)
    first = 150 - 24 * (len(lines) - 1)
    words = "".join(
        f'<text x="56" y="{first + 50 * i}" font-size="40" font-weight="700" fill="#fff">{html.escape(line)}</text>'
        for i, line in enumerate(lines)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1120 300" width="1120" height="300" '
        "font-family=\"'Segoe UI',Helvetica,Arial,sans-serif\">"
        '<defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#2b2f8f"/>'
        '<stop offset=".55" stop-color="#4b4ee0"/><stop offset="1" stop-color="#b05ce8"/></linearGradient></defs>'
        '<rect width="1120" height="300" fill="url(#g)"/>'
        '<g fill="none" stroke="#fff" stroke-opacity=".16" stroke-width="2"><circle cx="960" cy="60" r="90"/>'
        '<circle cx="960" cy="60" r="150"/><circle cx="960" cy="60" r="210"/><circle cx="960" cy="60" r="270"/></g>'
        '<circle cx="960" cy="60" r="34" fill="#fff" fill-opacity=".9"/><path d="M950 44l28 16-28 16z" fill="#4b4ee0"/>'
        f'{words}<text x="56" y="{first + 50 * len(lines) + 6}" font-size="20" letter-spacing="3" fill="#fff" '
        'fill-opacity=".75">LIVE WEBINAR</text></svg>'
    )


def _lines(title: str, width: int = 34, most: int = 3) -> list[str]:
    lines = [""]
    for word in "".join(c if c.isprintable() else " " for c in title[:200]).split():
        if lines[-1] and len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines[:most]
