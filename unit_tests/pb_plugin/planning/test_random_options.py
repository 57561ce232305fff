"""Any text for any option is read, or refused in one short message that names the option."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.planning.options import TABLE, read_value
from pb_plugin.printable import printable
from unit_tests.json_mutations import JUNK, check_refusal

WORDS = (
    "copy",
    "llada",
    "confidence",
    "threshold",
    "1",
    "0.5",
    "-1",
    "1e999",
    "nan",
    "inf",
    "n",
    "auto",
    "all",
)
SIGNS = (
    ",",
    ":",
    "=",
    "/",
    "@",
    "+",
    "..",
    ".",
    "|",
    "[",
    "]",
    " ",
    "%",
    ">=",
    "~",
    "\n",
    "\x00",
    "https://",
)
TEXTS = st.text(max_size=30) | st.lists(
    st.sampled_from((*WORDS, *SIGNS, *(text for text in JUNK if isinstance(text, str) and len(text) < 100))),
    max_size=8,
).map("".join)


@pytest.mark.parametrize("row", [row for row in TABLE if row.kind != "flag"], ids=lambda row: row.field)
@given(texts=st.lists(TEXTS, min_size=1, max_size=3))
def test_it_is_read_or_refused_in_one_message(row, texts, tmp_path_factory):
    written = texts if row.kind in {"items", "lines"} else texts[0]
    try:
        read_value(row, written, name=row.flag, folder=tmp_path_factory.getbasetemp())
    except ValueError as error:
        check_refusal(ValueError(printable(str(error))), row.flag)
