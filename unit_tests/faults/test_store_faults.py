"""Every write, rename and lock of the store fails once: one message, and the next run makes it good."""

import errno
import fcntl
import io
import os

import pytest

from unit_tests.long_forms import LONG

TINY = ("--task", "copy", "--unmasking", "confidence", "--k", "8,32", "--samples", "3")
EVERY = 1 if LONG else 6
"""In the short form every sixth call fails."""

CALLS = (
    (os, "open"),
    (os, "write"),
    (os, "pwrite"),
    (os, "mkdir"),
    (os, "rename"),
    (os, "unlink"),
    (os, "ftruncate"),
    (os, "fsync"),
    (fcntl, "flock"),
    (io, "open"),
)


class FailingDisk:
    """Lets the n-th call that changes something below a folder fail, as a full disk does."""

    def __init__(self, monkeypatch, folder, nth):
        self.folder, self.nth, self.n, self.failed = str(folder), nth, 0, None
        self.descriptors = set()
        for module, name in CALLS:
            monkeypatch.setattr(module, name, self.wrapped(module, name, getattr(module, name)))

    def is_ours(self, name, given):
        what = given[0] if given else None
        if isinstance(what, int):
            return what in self.descriptors
        try:
            path = os.fspath(what)
        except TypeError:
            return False
        if not str(path).startswith(self.folder):
            return False
        if name != "open":
            return True
        mode = given[1] if len(given) > 1 else "r"
        return (
            bool(mode & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if isinstance(mode, int) else mode[0] in "wax"
        )

    def wrapped(self, module, name, real):
        def call(*given, **more):
            if self.is_ours(name, (*given, *more.values())):
                self.n += 1
                if self.n == self.nth:
                    self.failed = f"{module.__name__}.{name}"
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), given[0] if given else None)
            found = real(*given, **more)
            if module is os and name == "open" and str(given[0]).startswith(self.folder):
                self.descriptors.add(found)
            return found

        return call


@pytest.mark.slow
def test_any_call_of_the_store_may_fail(suite, monkeypatch):
    whole = suite.pytester.path / "whole"
    suite.run(*TINY, store=whole).assert_outcomes(passed=2)
    failed, codes = [], set()
    for nth in range(1, 200, EVERY):
        store = suite.pytester.path / f"store{nth}"
        with monkeypatch.context() as patch:
            disk = FailingDisk(patch, store, nth)
            result = suite.run(*TINY, store=store)
        said = result.stdout.str() + result.stderr.str()
        where = f"call {nth}, {disk.failed}:\n{said}"
        assert "INTERNALERROR" not in said, where
        assert "Traceback" not in said, where
        codes.add(int(result.ret))
        if disk.failed is None:
            assert result.ret == 0
            break
        failed.append(disk.failed)
        if result.ret != 0:
            assert "No space left on device" in said, where
        again = suite.run(*TINY, store=store)
        assert again.ret == 0, f"after {where}\n{again.stdout.str()}"
        assert suite.summary(store) == suite.summary(whole), where
    else:
        pytest.fail("the run never came to its end")
    if EVERY == 1:
        assert {"os.write", "os.rename", "os.open", "os.mkdir", "fcntl.flock", "io.open"} <= set(failed)
    print(len(failed), "calls failed:", sorted(set(failed)), "exit codes", sorted(codes))
    assert 1 in codes
    assert codes <= {0, 1, 4}
