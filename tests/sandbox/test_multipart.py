"""A multipart upload is taken apart byte for byte."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.sandbox.http import ApiError
from grabient_ops.sandbox.multipart import Form, take_apart

BOUNDARY = "b0und4ry"
PIECES = st.sampled_from([b"\r\n", b"--", b"--b0und4r", b"\r\n--b0", b"\n", b"{}", b"\x00\xff"])


def parse(body: bytes, boundary: str = BOUNDARY) -> tuple[Form, bytes]:
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "body"), Path(folder, "target")
        source.write_bytes(body)
        form = take_apart(source, f'multipart/form-data; boundary="{boundary}"', target)
        return form, target.read_bytes() if target.exists() else b""


@given(st.lists(PIECES | st.binary(max_size=40)).map(b"".join))
def test_a_file_comes_out_as_it_went_in(content: bytes) -> None:
    body = (
        b'--b0und4ry\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--b0und4ry\r\nContent-Disposition: form-data; name="file"; filename="x.jsonl"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--b0und4ry--\r\n"
    )

    form, file = parse(body)

    assert file == content
    assert (form.fields, form.filename) == ({"purpose": "batch"}, "x.jsonl")
    assert form.size == len(content)


def test_a_field_may_have_a_name_in_no_known_alphabet() -> None:
    form, _ = parse(b'--b0und4ry\r\nX: form-data; name="\xff"\r\n\r\n1\r\n--b0und4ry--')

    assert form.fields == {"\ufffd": "1"}


def test_a_part_whose_head_does_not_end_is_no_part() -> None:
    form, file = parse(b'--b0und4ry\r\nX: y; name="file"; filename="x"\r\n--b0und4ry--')

    assert (form, file) == (Form(), b"")


@given(st.binary(max_size=200))
def test_rubbish_gives_a_form_without_a_file_or_a_refusal(body: bytes) -> None:
    try:
        form, _ = parse(body)
    except ApiError as error:
        assert error.status == 400  # noqa: PT017 - hypothesis needs both ways to be fine
    else:
        assert form.filename is None


def test_another_content_type_is_refused(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"{}")

    with pytest.raises(ApiError, match="multipart"):
        take_apart(body, "application/json", tmp_path / "target")
