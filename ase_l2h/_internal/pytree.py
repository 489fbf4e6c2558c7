"""Frozen dataclasses that are JAX pytrees: fields are leaves unless marked static."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

__all__ = ["pytree_dataclass", "replace", "static_field"]

T = TypeVar("T")
replace = dataclasses.replace


def static_field(**kwargs: Any) -> Any:
    """Mark a dataclass field as part of the tree structure: hashable, never traced."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(static_field,))
def pytree_dataclass(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen dataclass and register it as a JAX pytree.

    Unflattening bypasses ``__init__``: JAX rebuilds trees with placeholder leaves, and
    a constructor that validates its arguments must not see those.
    """
    frozen = dataclasses.dataclass(frozen=True, eq=False)(cls)
    fields = dataclasses.fields(frozen)  # type: ignore[arg-type]
    leaves = [f.name for f in fields if not f.metadata.get("static", False)]
    static = [f.name for f in fields if f.metadata.get("static", False)]

    def flatten_with_keys(instance: Any):
        children = [
            (jax.tree_util.GetAttrKey(name), getattr(instance, name)) for name in leaves
        ]
        return children, tuple(getattr(instance, name) for name in static)

    def flatten(instance: Any):
        return [getattr(instance, name) for name in leaves], tuple(
            getattr(instance, name) for name in static
        )

    def unflatten(aux: Any, children: Any):
        instance = object.__new__(frozen)
        for name, value in zip(static, aux, strict=True):
            object.__setattr__(instance, name, value)
        for name, value in zip(leaves, children, strict=True):
            object.__setattr__(instance, name, value)
        return instance

    jax.tree_util.register_pytree_with_keys(
        frozen, flatten_with_keys, unflatten, flatten
    )
    return frozen
