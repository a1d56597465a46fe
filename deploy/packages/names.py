"""Names of generated code: identifiers, and no reserved words."""

from __future__ import annotations

import re
from collections.abc import Set

from mobiledeploy.errors import InputError

_CLASS = re.compile(r"[A-Z][A-Za-z0-9]{0,63}", re.ASCII)
_PART = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
# Dotted names become Java packages, and folders.
_JAVA = re.compile(
    "abstract|assert|boolean|break|byte|case|catch|char|class|const|continue|default|do|double|else|"
    "enum|extends|false|final|finally|float|for|goto|if|implements|import|instanceof|int|interface|long|"
    "native|new|null|package|private|protected|public|return|short|static|strictfp|super|switch|"
    "synchronized|this|throw|throws|transient|true|try|void|volatile|while|as|fun|in|is|object|"
    "typealias|typeof|val|var|when|con|prn|aux|nul"
)


def check_name(name: str, reserved: Set[str]) -> None:
    """Refuse what cannot be a class.

    Args:
        name: of the class.
        reserved: words of the language, and classes that the generated code uses itself.

    Raises:
        InputError: says why, and what is possible.
    """
    if not _CLASS.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a class",
            where="--name",
            hint="Begin with a capital letter, then letters and digits of ASCII: FlowerClassifier",
        )
    if name in reserved:
        raise InputError(
            f"{name!r} has a meaning of its own in the generated code",
            where="--name",
            hint=f"Choose another, for example {name}Classifier",
        )


def choose_namespace(given: str | None, name: str) -> str:
    """The namespace that was given, or one made of the class's name.

    Raises:
        InputError: it is no dotted name, or has a reserved word in it.
    """
    namespace = f"com.example.{name.lower()}" if given is None else given
    parts = namespace.split(".")
    if len(parts) < 2 or not all(_PART.fullmatch(part) for part in parts):
        raise InputError(
            f"{namespace!r} cannot be a namespace",
            where="--namespace",
            hint="Give two or more parts of small letters and digits: com.example.flowers",
        )
    for part in parts:
        if _JAVA.fullmatch(part):
            raise InputError(
                f"{part!r} is a reserved word", where="--namespace", hint=f"Choose another part: {part}_model"
            )
    return namespace
