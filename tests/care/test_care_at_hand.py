"""Replays asked of the store itself."""

import pytest

from app.care.at_hand import asked_of
from app.errors import StoreUnavailable, Unclear
from app.store.replays import Asked, Selection
from tests.web.test_web_care import Caring


async def test_a_store_whose_answer_got_lost_may_have_begun_it() -> None:
    """The command then asks again with the same key, instead of leaving that to whoever typed it."""
    caring, asked = Caring(), Asked(Selection(), "ada", key="k-1")
    made = await asked_of(caring, asked)
    assert (made.id, caring.asked) == ("rpl_1", [asked])
    caring.fails = StoreUnavailable("server closed the connection")
    with pytest.raises(Unclear, match="server closed"):
        await asked_of(caring, asked)
