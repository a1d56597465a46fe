"""What a Core ML model asks of the code around it, read from its own bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mobiledeploy.errors import UnsupportedError
from mobiledeploy.runtimes.coreml_package import load

# Specification version -> first iOS and macOS; before 6 there are no ML Programs, and no async loading.
_SYSTEMS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        6: ("15.0", "12.0"),
        7: ("16.0", "13.0"),
        8: ("17.0", "14.0"),
        9: ("18.0", "15.0"),
        10: ("26.0", "26.0"),
    }
)
OLDEST = _SYSTEMS[6]


@dataclass(frozen=True, slots=True)
class CoreMLNeeds:
    """What the code has to know that no contract says.

    Attributes:
        ios, macos: first versions that run the model.
        image_input: the model takes an image of Core ML, not an array.
    """

    ios: str
    macos: str
    image_input: bool


def read_needs(files: Mapping[str, bytes], outputs: Iterable[str]) -> CoreMLNeeds:
    """Read a model's files.

    Args:
        files: path below the ``.mlpackage`` to content.
        outputs: names of the arrays that the code reads.

    Raises:
        InputError: damaged.
        UnsupportedError: the output is a dictionary alone, or the version is unknown.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        loaded = load(Path(folder))
    arrays = {item.name for item in loaded.outputs if item.kind == "array"}
    for output in outputs:
        if output not in arrays:
            raise UnsupportedError(
                f"the model returns {output} as a dictionary of labels only",
                hint="Convert it with mobiledeploy convert --target coreml, which adds an array",
            )
    version = max(loaded.version, min(_SYSTEMS))
    if version not in _SYSTEMS:
        raise UnsupportedError(
            f"specification {version} of Core ML is not known", hint="Upgrade mobiledeploy"
        )
    ios, macos = _SYSTEMS[version]
    return CoreMLNeeds(ios, macos, loaded.inputs[0].kind == "image")
