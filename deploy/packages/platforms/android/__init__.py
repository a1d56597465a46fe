"""Android: a Gradle library module in Kotlin, and a ready AAR."""

from __future__ import annotations

from mobiledeploy.deploy.packages.platforms.android.platform import Android

PLATFORM = Android()
