"""Processes that make calls: how one has ended is told."""

from __future__ import annotations

import pytest
from own_calculators import leaving

from ase_l2h._internal.workers import CallFailed, Workers


@pytest.fixture
def workers():
    made = Workers(leaving, 1, 60.0)
    yield made
    made.close()


@pytest.mark.slow
def test_the_exit_code_of_a_worker_is_told(workers):
    for token, code in enumerate((3, -1, 0)):
        workers.submit(token, code)
        number, failure = workers.next()
        assert number == token
        assert isinstance(failure, CallFailed)
        said = f"the process of this call ended (exit code {abs(code)})"
        assert str(failure) == said
