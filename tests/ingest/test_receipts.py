"""Receipts: ranges merged by device and boot, never too large, and the book empty afterwards."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from cloud.ingest.program import note_receipts
from cloud.ingest.receipts import ReceiptBook, ranges
from protocols.messages import MAX_MESSAGE_BYTES, Receipt, Rejected
from tests.ingest.made import BOOT, birth, fault, frame, read, telemetry


def test_ranges() -> None:
    assert ranges([3, 1, 2, 7, 2]) == ((1, 3), (7, 7))
    assert ranges([]) == ()


@given(st.sets(st.integers(0, 500)))
def test_ranges_hold_just_the_numbers(numbers: set[int]) -> None:
    merged = ranges(numbers)
    assert {n for first, last in merged for n in range(first, last + 1)} == numbers
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(merged))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(1, 2), st.integers(0, 3000))))
def test_every_commit_is_in_one_gateways_receipts(commits: list[tuple[str, str, int, int]]) -> None:
    book = ReceiptBook()
    for commit in commits:
        book.commit(*commit)
    told = set()
    for topic, payload in book.take(1):
        assert len(payload) <= MAX_MESSAGE_BYTES
        gateway = topic.split("/")[3]
        for part in Receipt.decode(payload).committed:
            told |= {(gateway, part.device, part.boot, n) for a, b in part.ranges for n in range(a, b + 1)}
    assert told == set(commits)
    assert not book
    assert book.take(1) == []


def test_scattered_numbers_make_several_receipts() -> None:
    book = ReceiptBook()
    for seq in range(0, 4000, 2):
        book.commit("gw", "dev", 1, seq)
    receipts = [Receipt.decode(payload) for _, payload in book.take(1)]
    assert len(receipts) == 4
    assert sum(len(part.ranges) for receipt in receipts for part in receipt.committed) == 2000


def test_rejections_go_to_their_gateway() -> None:
    book = ReceiptBook()
    book.reject("gw", Rejected(device="d", kind="telemetry", digest="0" * 16, reason="malformed"))
    ((topic, payload),) = book.take(1)
    assert topic == "fc/1/down/gw/-/receipt"
    assert Receipt.decode(payload).rejected[0].reason == "malformed"


def test_what_a_batch_tells() -> None:
    intake = read([
        birth(seq=4), telemetry(frame(5)), telemetry(frame(6)), fault(7, "E1", True), telemetry(b"\xfc\x01cut"),
        telemetry(b'{"v":1,"at":1760000000000,"values":{"t":1}}'),
    ])  # fmt: skip
    book = ReceiptBook()
    note_receipts(book, intake)
    ((_, payload),) = book.take(1)
    receipt = Receipt.decode(payload)
    assert {(c.device, c.boot, c.ranges) for c in receipt.committed} == {
        ("-", BOOT, ((4, 4),)), ("fridge-1", BOOT, ((5, 7),)),
    }  # fmt: skip
    assert [r.reason for r in receipt.rejected] == ["malformed"]
