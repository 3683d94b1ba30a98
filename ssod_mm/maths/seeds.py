"""Seeds that are functions of what they are for, the same on every machine."""

from __future__ import annotations

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def mix_seed(*words: int) -> int:
    """Mix integers into one 32-bit seed; every bit of every word matters.

    The words go one after another through the finaliser of SplitMix64 (Steele, Lea
    and Flood, 2014), so their order matters too. Written out here because a seed
    must stay the same when NumPy or PyTorch changes.

    Args:
        *words: Any integers, negative ones included (taken modulo 2**64).

    Returns:
        An integer in [0, 2**32), valid for ``random``, NumPy and PyTorch.
    """
    state = 0
    for word in words:
        state = (state + _GOLDEN + (int(word) & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 32
