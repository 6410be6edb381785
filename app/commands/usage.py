"""Give every command the same help and the same words for a wrong value: ours, not a library's."""

from typing import Any

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from typer.core import TyperCommand, TyperGroup, TyperOption

from app.wording import problem_in_words


def _without_types_of_flags(params: list[Any]) -> list[Any]:
    """Return the options; beside a flag `<bool>` would stand, as if a word had to follow."""
    for one in params:
        if isinstance(one, TyperOption) and one.is_flag and one.metavar is None:
            one.metavar = ""
    return params


class Command(TyperCommand):
    """One command."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types_of_flags(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line. Raises BadParameter with what is expected."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as wrong:
            if isinstance(wrong.__cause__, ValidationError):
                wrong.message = "; ".join(_in_words(one) for one in wrong.__cause__.errors(include_url=False)) + "."
            raise


class Group(TyperGroup):
    """What holds commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line. Raises BadParameter for what is not UTF-8, which no store and no relay could take."""
        for one in args:
            try:
                one.encode()
            except UnicodeEncodeError:
                raise typer.BadParameter(f"{one!r} is not UTF-8. Look at the terminal's locale.") from None
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types_of_flags(super().get_params(ctx))


def _in_words(detail: ErrorDetails) -> str:
    is_nan = str(detail["input"]).strip().lower().lstrip("+-") == "nan"  # which is neither less nor more than a limit
    return "must be a number" if is_nan else problem_in_words(detail).rstrip(".")
