"""What `make chaos` enters of a round, and how it tells it."""

import random
from pathlib import Path

import pytest

from tests.chaos.faults import Fault
from tests.chaos.postgres import PostgresStage
from tests.chaos.progress import Done, OtherSeed, Progress, Wanted, kept, missed, report, resumed
from tests.chaos.rounds import Trial, dice, one_round
from tests.chaos.senders import Senders
from tests.chaos.stage import Stage


def in_vain(_: Stage, __: random.Random, ___: int) -> Senders:
    raise AssertionError("waited 15 s in vain for another leader\nand more")


def lost(stage: Stage, _: random.Random, __: int) -> Senders:
    """Claim that somebody was told of an acceptance who was never heard."""
    stage.start(stage.port())
    return Senders([], acknowledged={"ada@example.com": "evt_1"})


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (in_vain, ["it broke off: AssertionError: waited 15 s in vain for another leader (seed 7, from 10 on)"]),
        (
            lost,
            [
                "1 acknowledged webhooks are not in the store (seed 7, from 10 on)",
                "1 acknowledged registrations are not sent (seed 7, from 10 on)",
                "1 who were acknowledged got no e-mail (seed 7, from 10 on)",
            ],
        ),
    ],
)
def test_what_goes_wrong_is_entered_and_the_run_goes_on(tmp_path: Path, fault: Fault, told: list[str]) -> None:
    """With what repeats it, and with what the round left."""
    done = Done("A fault", "SQLite", times=10)
    one_round(Trial(fault, 5, 20), done, seed=7, evidence=tmp_path)
    assert (done.times, done.broken) == (15, told)
    assert (tmp_path / "A fault on SQLite 10" / "relays.log").exists()


def test_a_run_is_kept_and_told(tmp_path: Path) -> None:
    """It goes on from there after an interruption."""
    progress = Progress(7)
    done = progress.of("A fault", "SQLite")
    done.times, done.accepted, done.seconds, done.commits = 25, 3000, 60.0, ["abc"]
    done.hits, done.looked = {"while it started": 4}, 25
    progress.keep(tmp_path / "progress.json")
    again = kept(tmp_path / "progress.json")
    assert again == progress
    assert report(again, {("A fault", "SQLite"): Wanted(1000, 100_000)}).splitlines() == [
        "Seed 7, commit abc.",
        "",
        "| fault | store | times | of | accepted | a second | answered 503 | promises broken |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
        "| A fault | SQLite | 25 | 1,000 | 3,000 | 50 | 0 | none |",
        "",
        "Not reached: A fault on SQLite: 25 of 1,000 times, 3,000 of 100,000 accepted.",
        "",
        "- A fault, SQLite: of 25 times, 4 while it started.",
    ]


def test_what_was_never_tried_is_missed_and_what_was_reached_is_not() -> None:
    progress = Progress(7)
    done = progress.of("A fault", "SQLite")
    done.times, done.accepted = 1000, 100_000
    wanted = {("A fault", store): Wanted(1000, 100_000) for store in ("SQLite", "PostgreSQL")}
    assert list(missed(progress, wanted)) == ["A fault on PostgreSQL: 0 of 1,000 times, 0 of 100,000 accepted"]
    assert "Not reached" not in report(progress, {("A fault", "SQLite"): Wanted(1000, 100_000)})


def test_a_run_that_is_kept_goes_on_with_its_own_seed_or_is_forgotten(tmp_path: Path) -> None:
    """Another seed would be told beside rounds that it cannot repeat."""
    file = tmp_path / "progress.json"
    assert resumed(file, 7, anew=False).seed == 7
    Progress(7).keep(file)
    assert (resumed(file, None, anew=False).seed, resumed(file, 7, anew=False).seed) == (7, 7)
    with pytest.raises(OtherSeed, match=r"seed 7: leave --seed out to go on with it, or forget it by --anew"):
        resumed(file, 8, anew=False)
    assert resumed(file, 8, anew=True).seed == 8


def test_a_seed_throws_the_same_dice_again(tmp_path: Path) -> None:
    """Those of the fault, and those of the proxy that cuts COMMITs."""
    thrown: list[float] = []

    def throws(stage: Stage, rng: random.Random, _: int) -> Senders:
        assert isinstance(stage, PostgresStage)
        thrown.extend((rng.random(), stage.proxy.rng.random()))
        raise AssertionError("no relay is needed for that")

    one_round(Trial(throws, 1, 1), Done("A fault", "PostgreSQL"), seed=7, evidence=tmp_path)
    [again, other] = [[own.random() for own in dice(seed, Done("A fault", "PostgreSQL"))] for seed in (7, 8)]
    assert thrown == again != other
    assert thrown[0] != thrown[1]
