"""The executable ``track_node``; it ends well on SIGINT and SIGTERM, from its first moment on.

All that takes time is done in a thread of its own, which no signal interrupts halfway.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from sam_pt_ros.errors import UserError
from sam_pt_ros.weights.memory import keep_freed_memory, share_freed_memory

if TYPE_CHECKING:
    from sam_pt_ros.ros.execution import Execution

# The launch system ends nodes with SIGINT, containers and systemd with SIGTERM.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ENDED = 0  # no signal's number
_CALLBACK_TIMEOUT = 0.3  # seconds that the callback in hand gets to return


class _Runner(threading.Thread):
    """The thread of the executor.

    Args:
        arguments: of the command line; None: those of the process.
        pipe: is told if it ends by itself.

    Attributes:
        code: the exit code then.
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
        """End the node; false, and nothing is freed, if it does not come to rest in time."""
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
    # Not a lock, which would not be let go where a signal comes to another thread than this one.
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    runner = _Runner(arguments, writing)
    runner.start()
    while (told := os.read(reading, 1)[0]) not in (_ENDED, *_SIGNALS):
        pass  # another signal, which somebody else handles
    code = runner.code if told == _ENDED else 0
    runner.end()
    # Not sys.exit(): Python would wait for a callback that hangs, and take longer to tear its
    # modules down than the node takes to end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
