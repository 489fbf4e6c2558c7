"""Checkpoints of a training run: one safetensors file, replaced atomically."""

from __future__ import annotations

from ase_l2h._internal.checkpoint import load_checkpoint, save_checkpoint

__all__ = ["load_checkpoint", "save_checkpoint"]
