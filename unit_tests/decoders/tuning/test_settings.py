"""What may be chosen of a fine-tuning, its defaults, and the course of the learning rate."""

import re

import pytest
import yaml

from decoders.tuning.settings import DEFAULTS, settings_of
from unit_tests.pages import ROOT


def test_the_defaults_are_those_of_the_paper():
    lora, sedd = settings_of("lora", {}), settings_of("score_entropy", {})
    assert (lora.rank, lora.alpha, lora.targets) == (128, 256, ("q_proj", "k_proj", "v_proj"))
    assert (lora.rate, lora.batch, lora.warm_up, lora.epochs) == (1e-5, 32, 0.05, 10)
    assert (lora.train_samples, lora.validation_samples) == (20_000, 5_000)
    assert (sedd.epochs, sedd.batch, sedd.rate, sedd.warm_up) == (32, 64, 3e-4, 0.25)
    assert lora.steps == 6_250
    assert sedd.steps == 32 * 312


@pytest.mark.parametrize("way", DEFAULTS)
def test_the_example_file_holds_every_setting_with_its_default(way):
    values = yaml.safe_load((ROOT / "docs" / "examples" / "fine_tune.yaml").read_text(encoding="utf-8"))
    assert settings_of("lora", values) == settings_of("lora", {})
    others = {key: value for key, value in values.items() if key not in DEFAULTS[way]}
    assert settings_of(way, others) == settings_of(way, {})


def test_the_rate_rises_and_falls_by_a_cosine():
    chosen = settings_of("full", {"epochs": 1, "batch": 1, "train_samples": 100, "rate": 0.5, "warm_up": 0.1})
    rates = [chosen.rate_at(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.05 * (step + 1) for step in range(10)])
    assert rates[10] == 0.5
    assert rates[55] == pytest.approx(0.25)
    assert rates == [*rates[:10], *sorted(rates[10:], reverse=True)]
    assert 0.0 < rates[-1] < 0.001


def test_without_a_warm_up_the_first_rate_is_the_highest():
    assert settings_of("lora", {"warm_up": 0}).rate_at(0) == 1e-5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"epochs": 0},
            "epochs must be a whole number from 1 on, got 0; correct it, or leave it out for the",
        ),
        ({"seed": -1}, "seed must be a whole number from 0 on, got -1"),
        ({"batch": True}, "batch must be a whole number from 1 on, got True"),
        ({"rate": 0}, "rate must be a number above 0 and at most 1, got 0"),
        ({"rate": float("nan")}, "rate must be a number above 0 and at most 1, got nan"),
        ({"warm_up": 1.5}, "warm_up must be a share from 0 to 1, got 1.5"),
        ({"clip": 0}, "clip must be a number above 0, got 0"),
        ({"precision": "float16"}, "precision must be one of auto, bfloat16, float32, got 'float16'"),
        ({"compiled": 1}, "compiled must be true or false, got 1"),
        ({"targets": []}, "targets must be a list of at least one name, got ()"),
        ({"targets": "q_proj"}, "targets must be a list of names, got 'q_proj'"),
        ({"trackers": ["paper"]}, "trackers must be of tensorboard, wandb, mlflow"),
        ({"accumulation": 3}, "accumulation must be a divisor of batch=32, got 3"),
        ({"train_samples": 31}, "train_samples must be at least one batch, 32, got 31"),
        ({"rnak": 4}, "settings must be of way, epochs, batch"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(f"{k}={v}" for k, v in value.items()),
)
def test_a_value_that_breaks_its_rule_is_named(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        settings_of("lora", given)


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="way must be one of lora, full, score_entropy, got 'dpo'"):
        settings_of("dpo", {})
