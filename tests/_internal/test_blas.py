"""BLAS in one thread, and in as many as before afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from ase_l2h._internal.blas import one_thread


def threads() -> list[int]:
    return [
        library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]


def test_blas_has_one_thread_inside_and_as_many_as_before_afterwards():
    before = threads()
    assert before
    with one_thread():
        inside = threads()
    assert set(inside) == {1}
    assert threads() == before


def test_an_error_inside_leaves_it_as_it_was():
    before = threads()
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert threads() == before


def test_many_threads_of_python_leave_it_as_it_was():
    before = threads()

    def worked(seed: int) -> float:
        with one_thread():
            matrix = np.random.default_rng(seed).normal(size=(40, 40))
            return float(np.linalg.eigvalsh(matrix @ matrix.T).min())

    with ThreadPoolExecutor(8) as pool:
        lowest = list(pool.map(worked, range(64)))
    assert min(lowest) > 0
    assert threads() == before
