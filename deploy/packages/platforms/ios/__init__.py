"""iOS: a Swift package over Core ML or ONNX Runtime, a CocoaPod over LiteRT."""

from __future__ import annotations

from mobiledeploy.deploy.packages.platforms.ios.platform import Ios

PLATFORM = Ios()
