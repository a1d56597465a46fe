"""Linux boards: a Python package as a wheel, and an example in C."""

from __future__ import annotations

from mobiledeploy.deploy.packages.platforms.linux.platform import Linux

PLATFORM = Linux()
