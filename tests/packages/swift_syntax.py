"""Swift parsed by tree-sitter: the nearest to a compiler that there is on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tree_sitter
import tree_sitter_swift

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))


def nodes(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """A node and all below it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def parse(source: bytes) -> tree_sitter.Node:
    return _PARSER.parse(source).root_node


def errors(path: Path) -> list[str]:
    """Where a file is no Swift."""
    return [
        f"{path.name}:{node.start_point.row + 1}: {node.type}"
        for node in nodes(parse(path.read_bytes()))
        if node.type == "ERROR" or node.is_missing
    ]


def type_names(path: Path) -> set[str]:
    """Types that a file names or has."""
    found = nodes(parse(path.read_bytes()))
    return {(node.text or b"").decode() for node in found if node.type == "type_identifier"}


def strings(path: Path) -> set[str]:
    """What its string literals hold, as they are written."""
    found = nodes(parse(path.read_bytes()))
    return {(node.text or b"").decode() for node in found if node.type == "line_str_text"}
