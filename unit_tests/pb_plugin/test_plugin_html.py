"""``--pb-html FILE``: a run ends with its page, and is red where the page it was asked for is not there."""

SMALL = ("--task", "copy", "--unmasking", "random", "--k", "1,32", "--samples", "4")


def test_a_run_writes_its_page_with_its_gates(suite, pytester):
    result = suite.run(*SMALL, "--pb-html=report.html", "--pb-gate", "copy:score@k1>=100")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*report.html: * kB, 8 of 8 results with their texts"])
    text = (pytester.path / "report.html").read_text(encoding="utf-8")
    assert "<bdi>copy:score@k1&gt;=100</bdi>" in text
    assert "8 of 8 planned samples decoded, 0 failed" in text


def test_a_place_where_no_page_can_be_is_refused_before_anything_is_decoded(suite):
    result = suite.run(*SMALL, "--pb-html=none/report.html")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --pb-html must lie in a folder that exists, got *"])


def test_a_page_that_could_not_be_written_fails_the_run(suite, pytester):
    (pytester.path / "report.html.part").mkdir()
    result = suite.run(*SMALL, "--pb-html=report.html")
    assert result.ret == 1
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED pb-gate::html - no HTML report in *report.html: * directory: *"])


def test_only_looking_at_the_items_writes_nothing(suite, pytester):
    suite.run(*SMALL, "--pb-html=report.html", "--collect-only")
    assert not (pytester.path / "report.html").exists()
