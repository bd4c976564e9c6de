"""What a command does with what goes wrong: a message with a remedy and an exit code, and never a traceback."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.text import Text

from harness.source import Interrupted, MissingError, UserError


@contextmanager
def told(context: typer.Context) -> Iterator[None]:
    """Turns what a person can mend into a message and an exit code; `--debug` shows the traceback."""
    errors = Console(stderr=True, soft_wrap=True)
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except (UserError, OSError) as error:
        if context.obj:
            raise
        remedy = "; free some space, then the same command continues" if _is_full(error) else ""
        errors.print(Text(f"{error}{remedy}", style="red"))
        raise typer.Exit(error.exit_code if isinstance(error, UserError) else MissingError.exit_code) from None
    except ModuleNotFoundError as error:
        if context.obj:
            raise
        errors.print(Text(f"this needs {error.name}, which is not installed here; install it and try again", "red"))
        raise typer.Exit(MissingError.exit_code) from None
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # rich's way: who read the output, such as `head`, is gone
            raise typer.Exit(141) from None
        errors.print(Text(f"other people's code ended the program (SystemExit {error}); --debug shows where", "red"))
        if context.obj:
            raise
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        if context.obj:
            raise
        errors.print(Text("Interrupted. Every trial that finished is on disk; the same command continues.", "yellow"))
        raise typer.Exit(130) from None
    finally:
        if signal.getsignal(signal.SIGINT) is _interrupt:  # after an interrupt, further ones stay ignored to the end
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _interrupt(number: int, frame: object) -> None:
    """Interrupts once: what is then put in order must not be broken off by a second Ctrl-C."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted
