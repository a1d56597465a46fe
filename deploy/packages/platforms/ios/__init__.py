"""iOS: a Swift package over Core ML or ONNX Runtime."""

from __future__ import annotations

from mobiledeploy.deploy.packages.platforms.ios.platform import Ios

PLATFORM = Ios()
