"""Processor and C library: what decides which runner and which engine library a device takes."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from mobiledeploy.errors import UnsupportedError

ARM64, ARMV7, X86_64 = ARCHS = ("arm64", "armv7", "x86_64")
GNU, ANDROID, MUSL = LIBCS = ("gnu", "android", "musl")
# Android's ABIs and the kernel's machine names.
_ARCH_OF: Mapping[str, str] = MappingProxyType(
    {
        "arm64-v8a": ARM64,
        "aarch64": ARM64,
        "arm64": ARM64,
        "armeabi-v7a": ARMV7,
        "armv7l": ARMV7,
        "armv7": ARMV7,
        # A 32-bit process on a 64-bit kernel.
        "armv8l": ARMV7,
        "x86_64": X86_64,
        "amd64": X86_64,
    }
)
_ABI_OF: Mapping[str, str] = MappingProxyType({ARM64: "arm64-v8a", ARMV7: "armeabi-v7a", X86_64: "x86_64"})


@dataclass(frozen=True, slots=True)
class Platform:
    """What native code for a device is made for.

    Attributes:
        arch: one of ``ARCHS``.
        libc: one of ``LIBCS``.
    """

    arch: str
    libc: str = GNU

    def __str__(self) -> str:
        return f"{self.arch} {self.libc}"

    @property
    def abi(self) -> str:
        """Android's name of the processor, as folders in an AAR have it."""
        return _ABI_OF[self.arch]


def platform_of(abis: Sequence[str], *, android: bool) -> Platform:
    """The best platform that a device runs.

    Args:
        abis: its Android ABIs or its kernel's machine name, best first.
        android: whether its C library is Android's; else it is taken for GNU's.

    Raises:
        UnsupportedError: none of them is known.
    """
    for abi in abis:
        if arch := _ARCH_OF.get(abi.lower()):
            return Platform(arch, ANDROID if android else GNU)
    raise UnsupportedError(
        f"no runner for a processor of type {', '.join(abis) or 'unknown'}",
        hint=f"Runners are built for {', '.join(ARCHS)}",
    )


def host_platform() -> Platform | None:
    """That of this process; None where no native runner is built for it."""
    arch = _ARCH_OF.get(platform.machine().lower())
    gnu = platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"
    return Platform(arch) if arch and gnu else None
