"""What a failure holds is let go, and nothing else."""

import gc
import sys
import weakref

import pytest

from pb_plugin.session.failed_frames import release_frames


class Heavy:
    """Stands for a model."""


def fail_with(kept, error=RuntimeError):
    held_here = Heavy()
    kept.append(weakref.ref(held_here))
    raise error("no")


def caught(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return error
    raise AssertionError("it must fail")


def test_the_frames_of_a_failure_are_cleared_while_the_failure_lives():
    kept = []
    error = caught(fail_with, kept)
    assert kept[0]() is not None
    assert release_frames(error) == 2, "that of the helper above and that of the failure"
    gc.collect()
    assert kept[0]() is None
    assert error.__traceback__ is not None
    assert str(error) == "no"


def test_a_stale_copy_of_the_locals_is_cleared_too():
    kept = []
    error = caught(fail_with, kept)
    frame = error.__traceback__.tb_next.tb_frame
    assert "held_here" in frame.f_locals
    release_frames(error)
    gc.collect()
    assert kept[0]() is None
    assert frame.f_locals == {}


def chained(kept, *, cause):
    try:
        fail_with(kept)
    except RuntimeError as first:
        if cause:
            raise LookupError("second") from first
        raise LookupError("second")  # noqa: B904 (the context is what is tested)


@pytest.mark.parametrize("cause", [True, False], ids=["cause", "context"])
def test_causes_and_contexts_are_cleared(cause):
    kept = []
    error = caught(lambda: chained(kept, cause=cause))
    release_frames(error)
    gc.collect()
    assert kept[0]() is None


def test_groups_are_cleared():
    kept = []
    group = ExceptionGroup("two", [caught(fail_with, kept), caught(fail_with, kept)])
    release_frames(group)
    gc.collect()
    assert [ref() for ref in kept] == [None, None]


def test_errors_that_refer_to_each_other_end():
    first, second = ValueError("1"), ValueError("2")
    first.__context__, second.__context__ = second, first
    assert release_frames(first) == 0


def test_a_frame_that_is_still_running_keeps_its_locals():
    alive = Heavy()
    cleared = []
    try:
        raise RuntimeError("here")
    except RuntimeError as error:
        cleared.append(release_frames(error))
    assert cleared == [0]
    assert isinstance(alive, Heavy)
    assert "alive" in sys._getframe().f_locals


def test_no_failure_is_nothing_to_do():
    assert release_frames(None) == 0
