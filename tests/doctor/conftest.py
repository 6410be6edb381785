"""Fixtures of the doctor's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.doctor.patient import Patient, patient_at_hand


@pytest.fixture
async def patient() -> AsyncIterator[Patient]:
    """A simulation in which nothing is wrong, but for its being one."""
    async with patient_at_hand() as at_hand:
        yield at_hand
