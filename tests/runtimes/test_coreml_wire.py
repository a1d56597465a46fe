"""Our reading of the wire format against Google's writing of it."""

from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.runtimes.coreml_wire import Message


def test_fields_read_as_they_were_written() -> None:
    from coremltools.proto import MIL_pb2

    value = MIL_pb2.TensorValue()
    value.ints.values.extend([0, 1, -1, 300, -(2**31), 2**31 - 1])
    written = Message(value.SerializeToString())
    assert written.message(2).numbers_in(1) == [0, 1, -1, 300, -(2**31), 2**31 - 1]

    value = MIL_pb2.TensorValue()
    value.floats.values.extend([0.5, -2.0])
    np.testing.assert_array_equal(Message(value.SerializeToString()).message(1).array(1, "<f4"), [0.5, -2.0])

    value = MIL_pb2.TensorValue()
    value.strings.values.extend(["a", "", "ü"])
    assert Message(value.SerializeToString()).message(4).texts(1) == ("a", "", "ü")


def test_the_last_of_a_repeated_scalar_counts() -> None:
    assert Message(b"\x08\x01\x08\x02").number(1) == 2


def test_what_is_not_set_reads_as_empty() -> None:
    nothing = Message(b"")
    assert (nothing.number(1), nothing.text(2), nothing.messages(3), nothing.map(4)) == (0, "", [], {})
    assert 1 not in nothing


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",  # a key without its value
        b"\x08" + b"\xff" * 11,  # a number that does not end
        b"\x0a\x05ab",  # bytes that end behind the message
        b"\x0d\x00",  # four bytes, two there
        b"\x0b",  # a group
        b"\x00\x00",  # field 0
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Message(data)
