"""What one set of shares is closed, tagged and committed to with, and its random bytes.

Source: docs/formats/share-v1.md, sections 5 and 6. SECURITY: whoever has the
secret of a set reads its object; nobody keeps it whole.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from node.crypto.shares.share import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.crypto.shares.share import About, Buffer, Share

_NONCE = bytes(12)  # each key closes one thing
MARGIN = 15  # bytes beyond its output that update_into() wants to be there


class SetKeys:
    """What a set's secret closes, tags and commits to."""

    def __init__(self, secret: bytes, about: About) -> None:
        self._about = about
        self._head = about.pack_head()
        self._object = derive(secret, b"object")
        self._tag = AESGCM(derive(secret, b"tag"))
        self._commitment = derive(secret, b"commitment")

    def close(self, data: Buffer, chunks: Sequence[memoryview]) -> None:
        """Write ciphertext, tag and zeros into chunks, one after the other.

        :param chunks: of equal length and writable, each with ``MARGIN`` bytes
            behind it that may be overwritten.
        """
        cipher = Cipher(algorithms.AES(self._object), modes.GCM(_NONCE)).encryptor()
        cipher.authenticate_additional_data(self._head)
        size = len(chunks[0]) - MARGIN
        whole = memoryview(data)
        for number, chunk in enumerate(chunks):
            cipher.update_into(whole[number * size : (number + 1) * size], chunk)
        cipher.finalize()
        end = cipher.tag.ljust(len(chunks) * size - len(data), b"\0")
        for number, chunk in enumerate(chunks):
            start = min(max(len(data) - number * size, 0), size)
            chunk[start:size], end = end[: size - start], end[size - start :]

    def open(self, parts: Sequence[Buffer]) -> memoryview | None:
        """Return the object; None if it is not what was closed.

        :param parts: ciphertext and tag, cut anywhere.
        """
        length = self._about.length
        cipher = Cipher(algorithms.AES(self._object), modes.GCM(_NONCE)).decryptor()
        cipher.authenticate_additional_data(self._head)
        data, tag, at = np.empty(length + MARGIN, np.uint8).data, b"", 0
        for part in parts:
            text = memoryview(part)[: length - at]
            at += cipher.update_into(text, data[at:])
            tag += part[len(text) :]
        try:
            cipher.finalize_with_tag(tag)
        except InvalidTag:
            return None
        return data[:length].toreadonly()

    def commit(self, parts: Sequence[Buffer]) -> bytes:
        """Return the commitment to what the bodies hold together.

        :param parts: it, cut anywhere.
        """
        code = hmac.new(self._commitment, self._head, "sha256")
        for part in parts:
            code.update(part)
        return code.digest()

    def tag(self, index: int, body: Buffer) -> bytes:
        """Return the tag of a body: GMAC, which is GCM without a plaintext."""
        return self._tag.encrypt(index.to_bytes(len(_NONCE)), b"", body)

    def fits(self, share: Share) -> bool:
        """Return whether a share's body is the one that its tag is of."""
        return hmac.compare_digest(self.tag(share.index, share.body), share.tag)


class Stream:
    """Random bytes: the key stream of AES-256-CTR under a fresh seed, 64 GiB at most.

    As good as the kernel's, which is a stream cipher under a random key as
    well, and many times as fast (docs/decisions/0301-shares.md). GCM makes it,
    since OpenSSL has a faster loop for that than for bare CTR; its tag is not used.
    """

    def __init__(self, seed: bytes) -> None:
        self._cipher = Cipher(algorithms.AES(seed), modes.GCM(_NONCE)).encryptor()
        self._zeros = b""
        self._room = bytearray()

    def draw(self, count: int) -> bytearray:
        """Return so many bytes, and some to ignore, valid until the next call."""
        if len(self._zeros) != count:
            self._zeros = bytes(count)
            self._room = bytearray(count + MARGIN)
        self._cipher.update_into(self._zeros, self._room)
        return self._room


def derive(secret: bytes, purpose: bytes) -> bytes:
    """Return the key of a set for one purpose."""
    return HKDF(SHA256(), KEY_BYTES, None, b"sealnode/v1/share-" + purpose).derive(secret)
