"""The executable ``track_node``, which ends cleanly on SIGINT and SIGTERM at any moment.

All work is done in other threads than the main one, so that no signal interrupts it halfway.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from sam_pt_ros.errors import UserError
from sam_pt_ros.weights.memory import keep_freed_memory, share_freed_memory

if TYPE_CHECKING:
    from sam_pt_ros.ros.execution import Execution

# The launch system ends nodes with SIGINT; containers and systemd use SIGTERM.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ENDED = 0  # no signal's number
_CALLBACK_TIMEOUT = 0.3  # seconds for the callback in hand to return


class _Runner(threading.Thread):
    """The executor's thread.

    Args:
        arguments: of the command line; None: those of the process.
        pipe: file descriptor to which it writes a byte if it ends by itself.

    Attributes:
        code: the exit code in that case.
    """

    def __init__(self, arguments: list[str] | None, pipe: int) -> None:
        super().__init__(name="executor", daemon=True)
        self.code = 2
        self._arguments = arguments
        self._pipe = pipe
        self._execution: Execution | None = None

    def run(self) -> None:
        try:
            from sam_pt_ros.ros.execution import Execution  # it takes half a second

            self._execution = Execution()
            self.code = self._execution.run(self._arguments)
        except (Exception, SystemExit) as error:
            reason = str(error) if isinstance(error, UserError) else f"cannot start: {error}"
            print("track_node:", " ".join(reason.split()), file=sys.stderr)
        finally:
            os.write(self._pipe, bytes([_ENDED]))

    def end(self) -> bool:
        """End the node; false, and nothing is freed, if it does not stop in time."""
        execution = self._execution
        if execution is not None and not execution.stop():
            return False
        self.join(_CALLBACK_TIMEOUT)
        if self.is_alive():
            return False
        if execution is not None:
            execution.close()
        return True


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the node until it is told to stop, and end the process."""
    share_freed_memory()  # before there are other threads
    keep_freed_memory()
    # A pipe, not a lock: a lock is not released if the signal arrives in another thread.
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    runner = _Runner(arguments, writing)
    runner.start()
    while (told := os.read(reading, 1)[0]) not in (_ENDED, *_SIGNALS):
        pass  # a signal that is handled elsewhere
    code = runner.code if told == _ENDED else 0
    runner.end()
    # Not sys.exit(): Python would wait for a callback that hangs, and take longer to tear its
    # modules down than the node takes to end.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # it is None or a broken pipe
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
