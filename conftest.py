"""Make the suite's plugin available in a plain checkout, and fix what every test of it relies on."""

import pytest

pytest.register_assert_rewrite("decoders.testing")

pytest_plugins = ["pb_plugin.plugin", "pytester"]
