"""Runs of the plugin from outside."""
SMALL = ("--task", "copy,shuffle", "--samples", "8", "--k", "1,4")

def test_a(suite):
    result = suite.run(*SMALL)
    result.assert_outcomes(passed=24)
    print(suite.summary()[:100])
def test_b(suite):
    result = suite.run(*SMALL)
    result.assert_outcomes(passed=24)
    result = suite.run(*SMALL)
    result.assert_outcomes(passed=24)
def test_c(suite):
    suite.run("--collect-only","-q")
