"""Files are written whole or not at all, and what the system says of a failure becomes one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mobiledeploy.errors import MobileDeployError, OutputError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def writing(final: Path) -> Iterator[None]:
    """Operating system errors inside the block become one ``OutputError`` about ``final``."""
    try:
        yield
    except OSError as error:
        raise _cannot_write(error, final) from error
    except MobileDeployError as error:
        # Converters may take a full disk for a fault of the model.
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in NO_ROOM:
            raise _cannot_write(error.__cause__, final) from error
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write under another name in the same folder, then rename.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


def _cannot_write(error: OSError, final: Path) -> OutputError:
    hint = "Choose another place with -o"
    return OutputError(
        f"cannot be written ({error.strerror or error})",
        where=str(final),
        hint=f"Free some space, there or for temporary files. {hint}" if error.errno in NO_ROOM else hint,
    )
