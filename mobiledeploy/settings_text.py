"""Settings that users write as a JSON object: what every dataclass of them refuses in the same words."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from mobiledeploy.errors import InputError


def read_object(text: str, where: str) -> dict[str, Any]:
    """A JSON object.

    Args:
        text: the object.
        where: what it is, for messages.

    Raises:
        InputError: the text is none.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InputError(f"this is no JSON ({error})", where=where, hint="Write an object") from error
    if not isinstance(data, dict):
        raise InputError("this is no JSON object", where=where, hint="Write {} for the default")
    return data


def refuse_unknown(data: dict[str, Any], kind: type, where: str) -> None:
    """Refuse a key that is no field of a dataclass.

    Raises:
        InputError: names the first one, and all fields.
    """
    known = [item.name for item in fields(kind)]
    if unknown := sorted(data.keys() - set(known)):
        raise InputError(f"unknown field {unknown[0]!r}", where=where, hint=f"Known: {', '.join(known)}")


def check_words(settings: Any, where: str, hint: str) -> None:
    """Refuse a word that its field does not know, and what is neither true nor false where one is wanted.

    Raises:
        InputError: names the field and what it may be.
    """
    hints = get_type_hints(type(settings))
    for item in fields(settings):
        value, kind = getattr(settings, item.name), hints[item.name]
        choices = get_args(kind)
        if choices and isinstance(choices[0], str) and value not in choices:
            raise wrong(item.name, value, " or ".join(choices), where, hint)
        if kind in (bool, bool | None) and not isinstance(value, kind):
            raise wrong(item.name, value, "true or false", where, hint)


def wrong(name: str, value: object, allowed: str, where: str, hint: str) -> InputError:
    """The error about a field's value."""
    return InputError(f"{name} is {value!r}, not {allowed}", where=where, hint=hint)
