"""Fixtures of the doctor's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doctor.patient import Patient, patient_at_hand


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Patient]:
    async with patient_at_hand(tmp_path) as at_hand:
        yield at_hand
