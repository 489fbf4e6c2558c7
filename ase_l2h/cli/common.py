"""What the verbs share: one-sentence errors, exit codes, the clock."""

from __future__ import annotations

import os
import time
import traceback as tracebacks
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from ase_l2h._internal.jax_start import environment_fault
from ase_l2h._internal.stopping import INTERRUPTED, interrupt_on_signals, signalled
from ase_l2h.cli.compilation import use_compilation_cache
from ase_l2h.errors import InputError, RunError

__all__ = [
    "BadInput",
    "Interrupted",
    "Program",
    "RunFailure",
    "Verb",
    "elapsed",
    "split_names",
]

CLOCK = "ase_l2h.clock"
# Whether this process belongs to the command line, which may then set JAX up.
OWN = "ase_l2h.own_process"


def split_names(text: str | None) -> tuple[str, ...]:
    """Names that commas separate; none of None."""
    return tuple(filter(None, (name.strip() for name in (text or "").split(","))))


class Sentence(click.ClickException):
    """One line for standard error."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class RunFailure(Sentence):
    """The run did not do what was asked for, through no fault of the input."""

    exit_code = 1


class BadInput(Sentence):
    """Nothing was run, because of how it was asked for."""

    exit_code = 2


class Interrupted(Sentence):
    """Somebody stopped the run."""

    exit_code = INTERRUPTED


class Program(click.Group):
    """A group that knows when it was started and words usage errors as one sentence."""

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> Any:
        """Run; without ``args`` this is a process of its own, timed from its start."""
        age = process_age() if args is None else None
        clock = {"from": "command start", "begun": time.monotonic()}
        if age is not None:
            clock = {"from": "process start", "begun": time.monotonic() - age}
        extra.setdefault("obj", {CLOCK: clock, OWN: args is None})
        with interrupt_on_signals(exits=args is None):
            return super().main(args, **extra)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command; signals may come from the beginning."""
        try:
            return super().make_context(*args, **kwargs)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke, with usage errors of the verbs as one sentence."""
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise BadInput(error.format_message()) from error
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None


class Verb(click.Command):
    """A command whose failures are one sentence, with ``--traceback`` for the rest.

    An :class:`~ase_l2h.errors.InputError` is a sentence about the input (exit code 2),
    a :class:`~ase_l2h.errors.RunError` one about the run (exit code 1). Whatever else
    comes from deeper is a failure of the run, too, shown with its type.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--traceback"],
                is_flag=True,
                help="Show where an error came from.",
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb and translate what it raises."""
        show = ctx.params.pop("traceback")
        try:
            if (ctx.find_object(dict) or {}).get(OWN):
                use_compilation_cache()
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError) as error:
            if show and isinstance(error, click.ClickException):
                tracebacks.print_exc()
            raise
        except (KeyboardInterrupt, click.Abort):
            raise Interrupted("interrupted") from None
        except Exception as error:
            if show:
                tracebacks.print_exc()
            _translate(error)


def _translate(error: Exception) -> NoReturn:
    if isinstance(error, InputError):
        raise BadInput(str(error)) from error
    if isinstance(error, RunError):
        raise RunFailure(str(error)) from error
    lines = str(error).splitlines() or [""]
    if signalled():
        # What the interrupt broke off, in the middle of an import for example, may
        # fail with anything.
        raise Interrupted(f"interrupted ({type(error).__name__}: {lines[0]})")
    fault = environment_fault() if _names_jax(error) else None
    if fault is not None:
        raise BadInput(fault) from error
    raise RunFailure(
        f"the run failed with {type(error).__name__}: {lines[0]} (--traceback shows "
        "where)"
    ) from error


def _names_jax(error: Exception) -> bool:
    """Whether JAX itself has raised something."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    last = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return last.partition(".")[0] in ("jax", "jaxlib")


def process_age() -> float | None:
    """Seconds since this process was started; None where only Linux could tell."""
    try:
        # Field 22 counts clock ticks from boot; the name before it may hold spaces.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (AttributeError, IndexError, OSError, ValueError):
        return None
    return age if age >= 0 else None


def elapsed(ctx: click.Context) -> tuple[float, str]:
    """Seconds since the start, and which start that is."""
    clock = ctx.find_object(dict)
    assert clock is not None
    return time.monotonic() - clock[CLOCK]["begun"], clock[CLOCK]["from"]
