"""The ``tuner`` command: its subcommands in one table, and what each kind of failure becomes.

Nothing here imports torch: ``tuner --help`` must answer at once. Commands import what they need when they run.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import typer

from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.errors import PixelPerfectError, UserError
from tuner.cli import apply, compare, dashboard, distort, evaluate, listing, run, runs, schema, sweep, train, worker

DONE, FAILED, WRONG_INPUT, STOPPED = 0, 1, 2, 130

# The common base of typer's usage errors; typer exports its subclasses only.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]  # type: ignore[assignment]

# What the system may refuse at any time, where a traceback would tell nobody more than the file's name does.
_SYSTEM = {
    errno.EACCES: WRONG_INPUT,
    errno.EPERM: WRONG_INPUT,
    errno.EROFS: WRONG_INPUT,
    errno.ENOSPC: FAILED,
    errno.EDQUOT: FAILED,
}

app = typer.Typer(
    name="tuner",
    help="Tune the parameters of image algorithms by how their pictures look.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # paragraphs of docstrings flow to the terminal's width
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: dict[str, Callable[..., Any]] = {
    "run": run.run,
    "check": run.check,
    "sweep": sweep.sweep,
    "apply": apply.apply,
    "compare": compare.compare,
    "score": compare.score,
    "rank": compare.rank,
    "report": runs.report,
    "worker": worker.worker,
    "storage-proxy": worker.storage_proxy,
    "dashboard": dashboard.dashboard,
    "export": runs.export,
    "list": listing.list_names,
    "schema": schema.schema,
    "evaluate": evaluate.evaluate,
    "distort": distort.distort,
}
for _name, _function in COMMANDS.items():
    app.command(_name)(_function)
app.add_typer(train.app, name="train")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 done; 1 the work failed; 2 the user's input is wrong (a line on stderr for each problem); 130 stopped by Ctrl-C.
    Only an error nobody foresaw prints a traceback.
    """
    tune_allocator()
    command = typer.main.get_command(app)
    try:
        code = command(
            args=list(sys.argv[1:] if arguments is None else arguments), prog_name="tuner", standalone_mode=False
        )
        sys.stdout.flush()
    except UserError as error:
        return _fail(str(error), WRONG_INPUT)
    except PixelPerfectError as error:
        return _fail(str(error), FAILED)
    except _USAGE_ERROR as error:
        text = str(getattr(error, "format_message", error.__str__)())
        if not text:
            return WRONG_INPUT  # typer has printed the help already
        return _fail(f"tuner: {' '.join(text.split())} (see tuner --help)", WRONG_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("stopped", STOPPED)
    except BrokenPipeError:
        # The reader of our output went away (`tuner list | head`): nothing to tell anybody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        if error.errno not in _SYSTEM:
            traceback.print_exc()
            return FAILED
        return _fail(f"{error.filename or 'writing'}: {error.strerror}", _SYSTEM[error.errno])
    except Exception:
        traceback.print_exc()
        return FAILED
    if code == STOPPED:
        return _fail("stopped", STOPPED)  # typer turns Ctrl-C inside a command into this code
    return code if isinstance(code, int) else DONE


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code
