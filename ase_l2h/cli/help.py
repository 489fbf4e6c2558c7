"""Help with its options in groups, and types of options that explain themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ase_l2h.cli.common import Verb

__all__ = ["Count", "GroupedVerb", "Real", "Whole"]


class GroupedVerb(Verb):
    """A verb whose help has a heading for every group of options.

    Parameters
    ----------
    groups
        Heading to the names of its options, as they are passed to the function. All
        others come last.
    definitions
        Headings and pairs of a name and what it means, shown before the options.
    """

    def __init__(
        self,
        *args: Any,
        groups: Mapping[str, tuple[str, ...]],
        definitions: Mapping[str, Mapping[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.groups, self.definitions = groups, definitions

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write definitions and groups."""
        for heading, pairs in self.definitions.items():
            with formatter.section(heading):
                formatter.write_dl(list(pairs.items()))
        lines: dict[str, list[tuple[str, str]]] = {name: [] for name in self.groups}
        lines["Other options"] = []
        places = {name: group for group, names in self.groups.items() for name in names}
        for parameter in self.get_params(ctx):
            line = parameter.get_help_record(ctx)
            if line is not None and isinstance(parameter, click.Option):
                lines[places.get(parameter.name or "", "Other options")].append(line)
        for heading, entries in lines.items():
            if entries:
                with formatter.section(heading):
                    formatter.write_dl(entries)


def int_of(text: str) -> int:
    """A whole number written as ``1e6`` or ``2.5e6``.

    Raises
    ------
    ValueError
        For what is none.
    """
    if text.lstrip("+-").isdigit():
        return int(text)
    number = float(text)
    if not number.is_integer():
        raise ValueError(text)
    return int(number)


class Whole(click.ParamType):
    """A whole number, also as ``1e6``."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The number, or a usage error."""
        try:
            return value if isinstance(value, int) else int_of(str(value))
        except ValueError:
            self.fail(
                f"{value!r} is not a valid integer; write for example 1000000 or 1e6",
                param,
                ctx,
            )


class Count(click.ParamType):
    """A whole number from ``least`` to ``most``."""

    name = "n"

    def __init__(self, most: int, least: int = 1) -> None:
        self.most, self.least = most, least

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The number, or a usage error that says which numbers there are."""
        text = str(value)[:40]
        try:
            # More digits than these are too many for any range.
            number = int_of(text)
        except ValueError:
            self.fail(f"'{text}' is not a valid integer", param, ctx)
        if not self.least <= number <= self.most:
            self.fail(f"{text} is not from {self.least} to {self.most}", param, ctx)
        return number


class Real(click.ParamType):
    """A number, above ``floor`` where there is one; never NaN."""

    name = "x"

    def __init__(self, floor: float | None = None) -> None:
        self.floor = floor

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or a usage error that says which numbers there are."""
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number != number:
            self.fail(f"'{str(value)[:40]}' is not a number", param, ctx)
        if self.floor is not None and not number > self.floor:
            self.fail(f"{value} is not above {self.floor:g}", param, ctx)
        return number
