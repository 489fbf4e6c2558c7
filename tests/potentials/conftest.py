from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import jax
import pytest


@pytest.fixture
def jax_md() -> Iterator[ModuleType]:
    """jax-md, which relies on JAX's usual promotion, at import and in its functions."""
    with jax.numpy_dtype_promotion("standard"):
        with jax.enable_x64(False):
            import jax_md.energy
            import jax_md.space
        yield jax_md
