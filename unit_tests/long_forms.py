"""Which forms of tests are for runs by hand: they take long, and what they show is seldom new."""

import os

import pytest

LONG = bool(os.environ.get("PB_LONG_CAMPAIGNS"))
by_hand = pytest.mark.skipif(not LONG, reason="a long form: set PB_LONG_CAMPAIGNS=1")
