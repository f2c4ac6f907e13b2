"""What is sealed tells nothing, opens only where it was sealed for, and only with its key."""

from __future__ import annotations

import os

import numpy as np
import pytest

from pipeline.sealing import PLAIN, Sealer, SealError, is_sealed, key_id
from tests.support.tracklets import jpeg, unit_vector

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


@pytest.mark.parametrize("data", [b"", b"x", jpeg(3), unit_vector(1, 512).astype("<f2").tobytes(), os.urandom(100_000)])
def test_what_was_sealed_opens_again(data: bytes) -> None:
    sealer = Sealer([OLD])
    sealed = sealer.seal(data, "here")
    assert is_sealed(sealed)
    assert sealer.open(sealed, "here") == data
    assert len(data) < 8 or data not in sealed
    assert sealer.seal(data, "here") != sealed, "never the same bytes twice"


def test_in_another_place_or_changed_it_does_not_open() -> None:
    sealer = Sealer([OLD])
    sealed = sealer.seal(b"a vector", "tapetum:tracklet:A/vector")
    with pytest.raises(SealError, match="another place"):
        sealer.open(sealed, "tapetum:tracklet:B/vector")
    for at in range(28, len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(SealError, match="changed"):
            sealer.open(bytes(changed), "tapetum:tracklet:A/vector")
    with pytest.raises(SealError, match="cut off"):
        sealer.open(sealed[:30], "tapetum:tracklet:A/vector")


def test_the_key_id_is_bound_too() -> None:
    """Of two keys, the ciphertext of one does not pass for the other's."""
    sealed = bytearray(Sealer([OLD]).seal(b"x", "here"))
    sealed[8:16] = bytes.fromhex(key_id(NEW))
    with pytest.raises(SealError, match="changed"):
        Sealer([OLD, NEW]).open(bytes(sealed), "here")


def test_a_key_that_is_not_there_is_named_by_its_id() -> None:
    sealed = Sealer([OTHER]).seal(b"x", "here")
    for sealer in (PLAIN, Sealer([OLD, NEW])):
        with pytest.raises(SealError, match=key_id(OTHER)):
            sealer.open(sealed, "here")
    assert OTHER not in sealed
    assert OTHER.hex() not in key_id(OTHER)


def test_a_new_key_first_seals_and_old_ones_open() -> None:
    old, both = Sealer([OLD]), Sealer([NEW, OLD])
    was = old.seal(b"x", "here")
    assert both.open(was, "here") == b"x"
    now = both.reseal(was, "here")
    assert now is not None
    assert Sealer([NEW]).open(now, "here") == b"x"
    assert both.reseal(now, "here") is None
    assert both.reseal(b"plain", "here") is not None


def test_without_keys_nothing_is_sealed() -> None:
    assert PLAIN.seal(b"x", "here") == b"x"
    assert PLAIN.open(b"x", "here") == b"x"
    assert PLAIN.reseal(b"x", "here") is None


def test_no_unit_vector_and_no_picture_passes_for_sealed() -> None:
    for dtype in ("<f2", "<f4"):
        ones = np.frombuffer(Sealer([OLD]).prefix[:8], dtype)
        assert np.abs(ones).max() > 1.0, "a component of a unit vector is never that great"
    assert not is_sealed(jpeg(1))


@pytest.mark.parametrize("key", [b"", b"x" * 31, b"x" * 33])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="expected 32 bytes"):
        Sealer([key])
