"""What `relay replay` says beforehand, in words."""

from typing import Any

from app.care.replay import preview_in_words, replay_in_words


def preview(**changes: Any) -> str:
    told = {
        "total": 2,
        "webhooks": 0,
        "toFetch": 0,
        "registrations": 0,
        "wouldSend": 0,
        "wouldSendTo": [],
        "alreadySent": 0,
        "alreadySentTo": [],
        "stillDead": {},
        "leftOut": {},
        "calls": 0,
        "resend": False,
    }
    return preview_in_words({"preview": {**told, **changes}})


def test_who_may_have_had_an_email_is_left_out_and_what_resend_does_is_said() -> None:
    """After `hold` all are in doubt: one must know whom `--resend` would mail, and where to look before."""
    told = preview(alreadySent=33, alreadySentTo=["ada@example.com"])
    assert "left out: had one, or may have          33  ada@example.com, and 32 more" in told
    assert "--resend mails these 33, too: a second time, to whoever had one." in told
    assert "Marketo's activity log" in told
    assert "--resend mails this one, too" in preview(alreadySent=1, alreadySentTo=["ada@example.com"])


def test_with_resend_the_second_email_stands_at_the_emails() -> None:
    """Nobody is offered what was asked for."""
    told = preview(resend=True, wouldSend=2, wouldSendTo=["ada@example.com", "bob@example.com"])
    assert "2  ada@example.com, bob@example.com (--resend: whoever had one gets a second)" in told
    assert "--resend mails" not in told


def test_where_nobody_had_one_nothing_is_said_of_a_second() -> None:
    assert "resend" not in preview(wouldSend=2, wouldSendTo=["ada@example.com"])


def test_with_nothing_to_do_nobody_is_told_how_to_do_it() -> None:
    """And one is one."""
    told = preview(total=1, leftOut={"purged": 1})
    assert told.startswith("1 webhook or registration fits.")
    assert "blanked after the retention time" in told
    assert told.endswith("There is nothing to do.")
    assert preview(registrations=1, stillDead={"title_missing": 1}).endswith("--yes does it.")


def test_who_died_again_is_told_with_the_cause_and_what_to_do() -> None:
    """It was mended in a file that the relay reads when it starts, most likely."""
    ended = {"id": "rpl_1", "state": "done", "done": 1, "total": 1, "counts": {"stillDead": 1}}
    told = replay_in_words(ended | {"stillDead": {"title_missing": 1}})
    assert "title_missing 1: /api/dead" in told
    assert "restart it" in told
    assert "restart" not in replay_in_words(ended | {"counts": {"again": 1}, "stillDead": {}})
