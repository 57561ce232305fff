"""Budget and prices as they are written."""

import pytest

from decoders.served.options import Price, SpendLimits, parse_spend_limits, read_prices


def test_limits_are_read():
    assert parse_spend_limits("requests=10") == SpendLimits(requests=10)
    assert parse_spend_limits("usd=0.5, requests=7") == SpendLimits(requests=7, usd=0.5)


@pytest.mark.parametrize(
    "text", ["", "10", "eur=5", "requests=1.5", "usd=0", "usd=nan", "usd=inf", "usd=1,usd=2"]
)
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(
        ValueError, match=r"--pb-budget must be requests=N, usd=X or both .*; write requests=1000"
    ):
        parse_spend_limits(text)


def test_prices_are_read(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text("a/b: {input: 0.25, output: 1}\n")
    assert read_prices(path) == {"a/b": Price(input=0.25, output=1.0)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "must be a YAML file"),
        ("", "must hold prices by model"),
        ("a: 3", "the price of 'a' must have input and output from 0, got 3; write MODEL"),
        ("a: {input: 1}", "must have input and output"),
        ("a: {input: -1, output: 1}", "must have input and output from 0"),
        ("a: {input: true, output: 1}", "must have input and output from 0"),
    ],
)
def test_what_is_no_price_is_refused(tmp_path, text, message):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_prices(path)
    with pytest.raises(ValueError, match="must be a YAML file"):
        read_prices(tmp_path / "nowhere.yaml")
