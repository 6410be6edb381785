"""How long tests wait for a store that they do not want to fail: a machine that stands still is no defect."""

from datetime import timedelta

PATIENT = timedelta(minutes=1)
