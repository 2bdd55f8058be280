"""DNA coding of a plaintext before AES-256-GCM closes it, for those who must show it.

Source: docs/formats/payload-v1.md, section 4.1. SECURITY: adds none. Without
the cipher around it this is a stream cipher in costume; the security of a
payload is that of AES-256-GCM.

A nucleotide is a number, A 0, C 1, G 2, T 3, and a byte holds four.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

BASES = "ACGT"
# The nucleotides of 00, 01, 10, 11: the eight rules by which complements are bitwise complements.
RULES = ("ACGT", "AGCT", "CATG", "CTAG", "GATC", "GTAC", "TCGA", "TGCA")
BLOCK = 16  # bytes that one pair of rules codes: 64 nucleotides


def encode(plaintext: bytes, key: bytes) -> bytes:
    """Return a plaintext coded: as many bytes, and :func:`decode` undoes it.

    :param key: 32 bytes that code nothing else.
    """
    first, second, strand = _draw(len(plaintext), key)
    return _each(_add(_each(plaintext, _READ, first), strand), _WRITE, second)


def decode(coded: bytes, key: bytes) -> bytes:
    """Return what was coded with a key."""
    first, second, strand = _draw(len(coded), key)
    return _each(_add(_each(coded, _READ, second), _negate(strand)), _WRITE, first)


def _draw(length: int, key: bytes) -> tuple[list[int], list[int], bytes]:
    """Return the rules to read each block by and to write it by, and the key strand."""
    # RFC 8439 ChaCha20; the nonce may stand still, since a key codes one plaintext
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor()
    rules = stream.update(bytes(-(-length // BLOCK)))
    strand = stream.update(bytes(length))
    return [drawn & 7 for drawn in rules], [drawn >> 3 & 7 for drawn in rules], strand


def _each(data: bytes, tables: tuple[bytes, ...], rules: list[int]) -> bytes:
    return b"".join(
        data[at * BLOCK : (at + 1) * BLOCK].translate(tables[rule]) for at, rule in enumerate(rules)
    )


def _add(one: bytes, other: bytes) -> bytes:
    """Add nucleotides modulo 4: the low bits with their carry, then the high bits."""
    a, b = int.from_bytes(one, "big"), int.from_bytes(other, "big")
    low = int.from_bytes(b"\x55" * len(one), "big")
    return (((a & low) + (b & low)) ^ ((a ^ b) & low << 1)).to_bytes(len(one), "big")


def _negate(strand: bytes) -> bytes:
    """Return what undoes the addition of a strand: 0, 3, 2, 1 for 0, 1, 2, 3."""
    number = int.from_bytes(strand, "big")
    low = int.from_bytes(b"\x55" * len(strand), "big")
    return (number ^ (number & low) << 1).to_bytes(len(strand), "big")


def _table(values: list[int]) -> bytes:
    """Return what translates each byte, its four 2-bit values by a list of four."""
    shifts = (6, 4, 2, 0)
    return bytes(sum(values[byte >> s & 3] << s for s in shifts) for byte in range(256))


_READ = tuple(_table([BASES.index(base) for base in rule]) for rule in RULES)
_WRITE = tuple(_table([rule.index(base) for base in BASES]) for rule in RULES)
