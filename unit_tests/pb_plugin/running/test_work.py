"""What a run computed, in a line; two processes' work is added field by field."""

from dataclasses import astuple

from pb_plugin.running.work import Work


def test_the_line_tells_sharing_fill_and_padding():
    work = Work(computed=50, counted=100, positions=1000, padded=12, room=1250)
    shared = "forwards: 50 computed for 100 counted (50%): settings of a sample share those of equal canvases"
    assert work.line == f"{shared}; forwards 80% full, 1.2% of their positions padding"
    assert Work(computed=50, counted=100).line == shared


def test_work_is_added_field_by_field():
    one, two = Work(computed=1, counted=2, positions=3, padded=4, room=5), Work(computed=10, room=50)
    assert astuple(one + two) == (11, 2, 3, 4, 55)
