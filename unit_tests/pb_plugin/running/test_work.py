"""What a run computed, in a line; two processes' work is added field by field."""

from dataclasses import astuple, replace

from pb_plugin.running.work import Work


def test_the_line_tells_sharing_fill_and_padding():
    work = Work(computed=10_000, counted=20_000, positions=1000, padded=12, room=1250)
    begin, end = "forwards: ", ": settings of a sample share those of equal canvases"
    shared = f"{begin}10,000 computed for 20,000 counted (50%){end}"
    assert work.line == f"{shared}; forwards 80% full, 1.2% of their positions padding"
    assert replace(work, room=0).line == shared
    assert replace(work, computed=9_999).line == f"{begin}9,999 computed for 20,000 counted (50%){end}"


def test_work_is_added_field_by_field():
    one, two = Work(computed=1, counted=2, positions=3, padded=4, room=5), Work(computed=10, room=50)
    assert astuple(one + two) == (11, 2, 3, 4, 55)
