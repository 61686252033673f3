"""The counter-based generator against its authors' known answers."""

from __future__ import annotations

import numpy as np
import pytest

from portico.decode.random import philox4x32, uniforms

# From the kat_vectors file of Random123, the authors' own implementation.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter: tuple[int, ...], key: tuple[int, ...], answer: tuple[int, ...]) -> None:
    def words(values: tuple[int, ...]) -> list[np.ndarray]:
        return [np.array([value], dtype=np.uint64) for value in values]

    assert tuple(int(word[0]) for word in philox4x32(words(counter), words(key))) == answer


def test_a_draw_depends_on_seed_choice_and_position_alone() -> None:
    rows = [(seed, choice, position) for seed in (0, 1, 2**64 - 1) for choice in (0, 1) for position in (0, 1, 2**40)]
    together = uniforms(*zip(*rows, strict=True))
    assert len(set(together)) == len(rows)
    for row, value in zip(rows, together, strict=True):
        assert uniforms(*([part] for part in row))[0] == value


def test_draws_are_spread_evenly() -> None:
    count = 20_000
    values = uniforms([7] * count, [0] * count, range(count))
    assert values.min() >= 0
    assert values.max() < 1
    bins = np.histogram(values, bins=50, range=(0, 1))[0]
    chi_square = ((bins - count / 50) ** 2 / (count / 50)).sum()
    assert chi_square < 94.6  # one chance in 10,000 with 49 degrees of freedom
