"""Starts MiniStack with the additions of resources.py and completions.py. It ends when its standard input is closed.

Usage: emulator.py < pipe. MiniStack's environment variables configure it, such as GATEWAY_PORT and BIND_HOST.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import completions
import resources
from ministack import app


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    resources.register()
    completions.register()
    print("pretended:", ", ".join(resources.PRETENDED + resources.PARTLY + completions.PRETENDED), flush=True)
    threading.Thread(target=_end_with_input, daemon=True).start()
    sys.argv = sys.argv[:1]
    app.main()


main()
