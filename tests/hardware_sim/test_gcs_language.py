"""Whatever bytes come in, a controller goes on."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sim.gcs_errors import Error, Refusal
from hardware_sim.gcs_language import Reader, framed, real, whole
from tests.hardware_sim.gcs_bench import Bench

MNEMONICS = sorted(line.split()[0] for line in Bench().say(b"HLP?\n").decode().splitlines()[5:-1])
WORDS = st.one_of(
    st.sampled_from(
        ["1", "0", "-1", "3", "X", "&", "LIN", "PNT", "nan", "inf", "1e308", "9" * 400, "0x7000000", "1e-9"]
    ),
    st.text(max_size=6),
)
LINES = st.tuples(st.sampled_from(MNEMONICS), st.lists(WORDS, max_size=9)).map(
    lambda parts: " ".join([parts[0], *parts[1]])
)
BYTES = st.one_of(st.binary(min_size=1, max_size=60), LINES.map(lambda line: line.encode("utf-8", "replace") + b"\n"))


@settings(max_examples=150, deadline=None)
@given(st.lists(BYTES, max_size=8))
def test_no_bytes_at_all_end_the_conversation(chunks: list[bytes]) -> None:
    answer = Bench().say(*chunks, b"\nCSV?\n")
    assert answer.endswith(b"2.0\n")


def test_an_endless_line_is_one_error_and_the_next_line_is_understood() -> None:
    bench = Bench()
    assert bench.say(*[b"A" * 4096] * 256, b"\nERR?\nERR?\n") == b"3\n0\n"
    assert bench.say(b"B" * 1_000_000 + b"\nCSV?\n") == b"2.0\n"


def test_pieces_of_a_stream_make_the_same_requests_however_it_is_cut() -> None:
    stream = b"MOV 1 5\nPO\x05S?\n\n\x18ERR?\n"
    whole_stream = list(Reader().requests(stream))
    reader = Reader()
    assert [one for place in range(len(stream)) for one in reader.requests(stream[place : place + 1])] == whole_stream
    assert whole_stream == [b"MOV 1 5\n", b"\x05", b"POS?\n", b"\n", b"\x18", b"ERR?\n"]


def test_only_the_last_line_of_an_answer_ends_without_a_blank() -> None:
    assert framed(["1=0", "2=0"]) == b"1=0 \n2=0\n"
    assert framed([]) == b""


@pytest.mark.parametrize("word", ["nan", "inf", "1_0", "0x10", "٣", "1e", "--1", "1e5000"])
def test_refuses_what_is_not_a_plain_number(word: str) -> None:
    with pytest.raises(Refusal) as caught:
        real(word)
    assert caught.value.error is Error.INVALID_NUMBER


def test_a_whole_number_may_be_written_as_a_real_one() -> None:
    assert whole("1e3") == 1000
    with pytest.raises(Refusal):
        whole("1.5")
