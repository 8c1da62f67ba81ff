"""The command line: `minidalle draw`, `caption`, `train`, `tokenize`, `evaluate`, `plan`, `bench`,
`course`.

Bad input, such as a wrong option or file, ends with one sentence and exit code 2, a loss that is
not finite with exit code 1, and Ctrl-C with 130. The options are in options.py, the commands in
commands.py and commands_*.py.
"""

import atexit
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from minidalle.options import parser
from minidalle.words import shown


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    if None in (sys.stdout, sys.stderr):  # `minidalle … >&-`
        sys.stderr = sys.stderr or open(os.devnull, "w")
        return complain("its output has no place to go: stdout or stderr is closed", 2)
    if hasattr(sys.stdout, "reconfigure"):  # not every terminal can show every character
        sys.stdout.reconfigure(errors="backslashreplace")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        args = parser().parse_args(argv)
        args.run(args)
        sys.stdout.flush()
    except FloatingPointError as error:
        return complain(error, 1)
    except BrokenPipeError:  # `minidalle … | head`: the reader is gone
        give_up_stdout()
        return 1
    except KeyboardInterrupt as error:
        return complain(str(error) or "stopped", 130)
    except (ValueError, OSError) as error:
        try:
            sys.stdout.flush()
        except OSError:  # it was this that failed: the disk that stdout goes to is full
            give_up_stdout()
        return complain(error, 2)
    return 0


def give_up_stdout() -> None:
    """Let what is still to be printed vanish, or Python would complain when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(error: Exception | str, code: int) -> int:
    """Print one line on stderr and return the exit code."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        error = f"{error.filename}: {error.strerror}"
    with suppress(OSError):  # the disk that stderr goes to is full
        print("minidalle:", shown(" ".join(str(error).split())), file=sys.stderr)
    return code


def process() -> NoReturn:
    """Run one command, then end the process.

    Of several processes, each ends without taking Python apart: one of gloo's threads may still
    be letting go of the last tensor, for which it needs Python, and would abort the process.
    """
    code = main()
    if "WORLD_SIZE" in os.environ:  # torchrun's
        atexit._run_exitfuncs()
        with suppress(OSError, AttributeError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    process()
