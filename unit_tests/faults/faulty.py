"""A model, a method and a scorer that go wrong on one sample, in the way that the environment says.

FAULT_AT: model, load or method. FAULTS: pairs of a sample and the way, ``1f2e3d4c=exit,=sleep``; a sample
is the checksum of its prompt in hex, and none is every sample. A test copies this module beside its own
file, as a user's module would stand.
"""

import ctypes
import os
import signal
import time
import zlib
from dataclasses import dataclass
from typing import ClassVar

from unit_tests.user_parts import Babble, BestFirst

FIRST_ID = 40


def prompt_ids(text):
    """Four ids that tell samples apart."""
    return [FIRST_ID + byte for byte in zlib.crc32(text.encode()).to_bytes(4, "big")]


def fault_of(rows):
    """The way of the first of the *rows* that goes wrong, or None."""
    for pair in os.environ.get("FAULTS", "").split(","):
        sample, _, fault = pair.partition("=")
        bad = [FIRST_ID + byte for byte in bytes.fromhex(sample)]
        if not bad or any(row[at : at + 4] == bad for row in rows for at in range(len(row))):
            return fault
    return None


def hang_in_c(library):
    """Lock a mutex twice: no signal ends that."""
    mutex = ctypes.create_string_buffer(128)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


def go_wrong(place, rows=()):
    if os.environ.get("FAULT_AT") != place:
        return
    match fault_of(rows):
        case "exit":
            os._exit(7)
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(1000.0)
        case "doze":
            time.sleep(0.1)
        case "loop":
            while True:
                pass
        case "hang":
            hang_in_c(ctypes.CDLL(None))
        case "hang with the lock":
            hang_in_c(ctypes.PyDLL(None))
        case "assert":
            raise RuntimeError(
                "CUDA error: device-side assert triggered\nCUDA kernel errors might be reported"
            )
        case "raise":
            raise ZeroDivisionError("by zero")


class Faulty(Babble):
    name = "faulty"

    def encode_prompt(self, messages):
        return prompt_ids(messages[-1]["content"])

    def __call__(self, canvas, attend, query, contexts):
        go_wrong("model", canvas.tolist())
        return super().__call__(canvas, attend, query, contexts)


def load(request):
    go_wrong("load")
    return Faulty()


@dataclass(frozen=True, kw_only=True)
class Method(BestFirst):
    name: ClassVar[str] = "wild"

    def step(self, view, memory):
        go_wrong("method")
        return super().step(view, memory)
