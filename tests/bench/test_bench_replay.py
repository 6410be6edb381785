"""A figure that takes minutes says how far it is."""

from bench.figures.replay import by_tenths


def test_progress_is_told_by_tenths() -> None:
    """Once each, whatever is skipped, and what was told once is not told again after a restart."""
    told: list[str] = []
    look = by_tenths(told.append, "replayed", 1000)
    are_all = [look(count) for count in (0, 99, 100, 150, 420, 410, 1000)]
    assert told == [f"{count} of 1,000 are replayed" for count in ("100", "420", "1,000")]
    assert are_all == [False] * 6 + [True]
