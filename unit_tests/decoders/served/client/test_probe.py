"""Prometheus pages as numbers, and how far they moved."""

from hypothesis import given
from hypothesis import strategies as st

from decoders.served.client.probe import moved, read_counters

PAGE = """# HELP vllm:spec_decode_num_drafts_total Number of drafts.
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{engine="0",model_name="a b"} 10.0
vllm:spec_decode_num_drafts_total{engine="1",model_name="a b"} 2.5e1
vllm:num_requests_running 1
process_start_time_seconds 1.7e+09 1395066363000
broken line
"""


def test_samples_are_summed_over_their_labels():
    assert read_counters(PAGE) == {
        "vllm:spec_decode_num_drafts": 35.0,
        "vllm:num_requests_running": 1.0,
        "process_start_time_seconds": 1.7e9,
    }


def test_a_counter_that_is_new_moved_from_0():
    assert moved({"a": 2.0}, {"a": 5.0, "b": 1.0}) == {"a": 3.0, "b": 1.0}


@given(st.text())
def test_any_page_is_read(text):
    assert all(isinstance(value, float) for value in read_counters(text).values())
