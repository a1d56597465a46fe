"""A gate's report as CI reads it: one file per format, each a pure function of the report.

A new format is a file here with ``render``, a line in ``FORMATS`` and a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from mobiledeploy.device_tests.gate.formats import github, junit, markdown, openmetrics
from mobiledeploy.device_tests.gate.report import GateReport

Render = Callable[[GateReport], str]
FORMATS: Mapping[str, Render] = MappingProxyType(
    {
        "junit": junit.render,
        "markdown": markdown.render,
        "openmetrics": openmetrics.render,
        "github": github.render,
    }
)
