"""No check of `relay doctor` without the mistake that it is there for."""

from importlib import import_module
from pkgutil import iter_modules

import app.doctor
from app.doctor.report import Check
from tests.doctor import test_marketo_mistakes as of_marketo
from tests.doctor import test_other_mistakes as of_all_else
from tests.doctor.mistakes import FAIL, WARN

TESTS_OF_THEIR_OWN = {
    "settings": of_all_else.test_a_weak_secret_is_an_error_of_its_setting,
    "store": of_all_else.test_a_database_that_nobody_may_make_is_an_error,
    "marketo_host": of_marketo.test_a_good_instance_has_only_the_warning_that_it_is_a_simulation,
    "campaign_type": of_marketo.test_each_campaign_that_the_settings_name_is_judged,
    "tokens_further": of_marketo.test_a_further_token_that_is_mapped_to_a_field_must_be_a_my_token_too,
    "join_link_field": of_marketo.test_a_field_that_cannot_hold_links_is_told,
    "campaigns_left_out": of_marketo.test_campaigns_that_were_not_looked_at_are_told,
}
ONLY_INFORM = {"sources", "webinar"}  # they say what there is, and never that it is wrong


def checks() -> list[str]:
    """Return the names of all checks, of whichever module below `app.doctor`."""
    modules = [import_module(f"app.doctor.{one.name}") for one in iter_modules(app.doctor.__path__)]
    tables = [value for module in modules for name, value in vars(module).items() if name.endswith("CHECKS")]
    return ["settings", *(check.name for table in tables for check in table if isinstance(check, Check))]


def mistaken() -> set[str]:
    """Return the checks for which the simulation has been set up wrong, so that they and no others tell it."""
    mistakes = [*of_marketo.MISTAKES, *of_all_else.MISTAKES]
    return {
        key.partition(":")[0] for one in mistakes for key, verdict in one.expected.items() if verdict in (WARN, FAIL)
    }


def test_every_check_has_a_test_in_which_just_its_mistake_was_made() -> None:
    """A check that never failed may be one that cannot."""
    assert set(checks()) == mistaken() | TESTS_OF_THEIR_OWN.keys() | ONLY_INFORM
    assert not mistaken() & TESTS_OF_THEIR_OWN.keys()


def test_there_are_many_checks_and_each_has_its_own_name() -> None:
    """Scripts rely on the names."""
    assert len(checks()) == len(set(checks())) >= 25
