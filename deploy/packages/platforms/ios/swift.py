"""Swift's words and literals."""

from __future__ import annotations

from collections.abc import Iterable

# Types that the generated code has or uses: a class of the same name would be found in their place.
RESERVED = frozenset(
    {
        *(
            "Anchor",
            "AnchorGrid",
            "Candidate",
            "DecodingTests",
            "Detection",
            "DetectionDecoding",
            "Detections",
        ),
        *(
            "Found",
            "Hasher",
            "InThisModule",
            "Interpreter",
            "NoPlace",
            "ORTRunOptions",
            "Place",
            "Places",
            "Region",
            "Sides",
            "Tags",
        ),
        *("Vectors",),
        *("Any", "Array", "BinaryInteger", "Bool", "Bundle", "CFData", "CGBitmapInfo", "CGColorSpace"),
        *(
            "CGContext",
            "CGDataProvider",
            "CGImage",
            "CGImageAlphaInfo",
            "CGRect",
            "CVPixelBuffer",
            "Category",
        ),
        *(
            "Channels",
            "Code",
            "Data",
            "Double",
            "Engine",
            "Equatable",
            "Error",
            "Failure",
            "Float",
            "Geometry",
        ),
        *("Golden", "Hashable", "InputEncoding", "Int", "Int16", "Int32", "Int8", "Interpolation"),
        *("MLComputeUnits", "MLDictionaryFeatureProvider", "MLFeatureValue", "MLModel"),
        *(
            "MLModelConfiguration",
            "MLMultiArray",
            "MemoryLayout",
            "ModelContract",
            "NSMutableData",
            "NSNumber",
        ),
        *("Number", "ORTEnv", "ORTLoggingLevel", "ORTSession", "ORTSessionOptions", "ORTValue", "Options"),
        *(
            "OutputDecoding",
            "Package",
            "Pixels",
            "Preprocessing",
            "ProcessInfo",
            "Protocol",
            "Result",
            "Self",
        ),
        *("Sendable", "Set", "String", "Type", "UInt8", "URL", "UTF8", "Unusable", "Window"),
        # Their tests would have the same name.
        *("Preprocessing", "PreprocessingTests", "XCTestCase"),
    }
)


def string(text: str) -> str:
    """A string literal: quotes, backslashes (and so interpolation) and all but plain ASCII escaped."""
    return '"' + "".join(_character(each) for each in text) + '"'


def number(value: float) -> str:
    """The shortest literal that a Float is read back from."""
    import numpy as np

    return str(np.float32(value))


def numbers(values: Iterable[float]) -> tuple[str, ...]:
    """The same of each."""
    return tuple(number(value) for value in values)


def _character(character: str) -> str:
    plain = character.isascii() and character.isprintable() and character not in '"\\'
    return character if plain else f"\\u{{{ord(character):x}}}"
