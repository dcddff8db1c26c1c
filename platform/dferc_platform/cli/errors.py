"""Every error as one sentence and an exit code: 2 what the user can mend, 130 stopped by the user, 1 anything else."""

import errno
import os
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from dferc.errors import UserError
from dferc_platform.away import StoreAwayError
from dferc_platform.disk import disk_full
from dferc_platform.secrecy import without_secrets

BAD_INPUT, INTERRUPTED, UNEXPECTED = 2, 130, 1
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


class ExplainingGroup(TyperGroup):
    """A command group whose commands end in a sentence where they would end in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; ``--verbose`` shows the traceback as well."""
        try:
            return super().invoke(ctx)
        except (typer.TyperException, typer.Exit, typer.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if ctx.params.get("verbose"):
                say_error(_details(error))
            sentence, code = explain(error)
            say_error(sentence)
            raise typer.Exit(code) from error


def explain(error: BaseException) -> tuple[str, int]:
    """What to say of an error, and the exit code."""
    chain = list(causes(error))
    if any(isinstance(e, KeyboardInterrupt) for e in chain):
        return "stopped; what is finished is kept, and the same command goes on from there", INTERRUPTED
    for e in chain:
        if isinstance(e, UserError):
            return str(e), BAD_INPUT
        if isinstance(e, StoreAwayError):  # a retry may well succeed
            return f"{e}; what is finished is kept, and the same command goes on from there", UNEXPECTED
        sentence = _file_sentence(e) if isinstance(e, OSError) else _memory_sentence(e)
        sentence = disk_full(e, _results()) or sentence
        if sentence:
            return sentence, BAD_INPUT
    return f"{_first_line(chain[-1])}; this is unexpected, the details are in {_log(error)}", UNEXPECTED


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it was made from, also inside the wrappers in which Ray brings a worker's error home."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [getattr(current, "cause", None), current.__cause__]
        failures = getattr(current, "worker_failures", None)
        waiting += failures.values() if isinstance(failures, dict) else []


def say_error(sentence: str, style: str = "red") -> None:
    """Print a sentence on stderr, as it is: brackets in it are no markup, and no line is broken inside a path."""
    Console(stderr=True, highlight=False).print(without_secrets(sentence), style=style, markup=False, soft_wrap=True)


def say_warning(sentence: str) -> None:
    """Print a warning on stderr."""
    say_error(f"warning: {sentence}", "yellow")


def _file_sentence(error: OSError) -> str | None:
    where = error.filename or _results()
    if error.errno in FORBIDDEN:
        reason = os.strerror(error.errno or 0).lower()
        return f"{where} cannot be written ({reason}): mend its permissions, or choose another folder with --results"
    return None


def _results() -> str:
    return os.environ.get("DFERC_RESULTS") or "the results folder"


def _memory_sentence(error: BaseException) -> str | None:
    if not isinstance(error, MemoryError | RuntimeError):
        return None
    from dferc_platform.memory import out_of_memory  # torch, which no other error needs

    return out_of_memory(error)


def _first_line(error: BaseException) -> str:
    text = without_secrets(str(error)).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _details(error: BaseException) -> str:
    return without_secrets("".join(traceback.format_exception(error)))


def _log(error: BaseException) -> Path:
    handle, name = tempfile.mkstemp(prefix="dferc-error-", suffix=".log", text=True)
    with os.fdopen(handle, "w", encoding="utf-8") as log:
        log.write(_details(error))
    return Path(name)
