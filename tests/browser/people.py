"""Names and titles as somebody sends who wants to break the page."""

HOSTILE = (
    "<script>window.wasHacked = true</script>",
    "\"><img src=x onerror='window.wasHacked = true'>",
    "\u202eevil\u202c שלום עולם مرحبا",
    "👩\u200d🚀🎉 " * 20,
    "x" * 10_000,
    "{{ 7 * 7 }} {{my.JoinLink}} ${7*7}",
)


def hostile_body(n: int, text: str) -> dict[str, object]:
    """Return a custom app's body that has the text wherever a text may stand, as far as the relay takes it there."""
    line = "".join(c for c in text if c.isprintable())
    webinar = {"id": f"h-{n}", "title": line[:1000], "joinLink": f"https://meet.example.com/j/{n}"}
    person = {"email": f"hostile{n}@example.com", "firstName": line[:255], "lastName": line[:255]}
    return {**person, "webinar": webinar, "tokens": {"Speaker": text}}
