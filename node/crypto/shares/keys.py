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
    from numpy.typing import NDArray

    from node.crypto.shares.share import About, Buffer, Share

_NONCE = bytes(12)  # each key closes one thing
_CTR_MARGIN = 15  # bytes beyond its output that update_into() wants to be there


class SetKeys:
    """What a set's secret closes, tags and commits to."""

    def __init__(self, secret: bytes, about: About) -> None:
        self._about = about
        self._head = about.pack_head()
        self._object = derive(secret, b"object")
        self._tag = AESGCM(derive(secret, b"tag"))
        self._commitment = derive(secret, b"commitment")

    def close(self, data: Buffer) -> NDArray[np.uint8]:
        """Return ciphertext and tag, with zeros up to what the chunks hold."""
        whole = np.empty(self._about.k * self._about.body_bytes, np.uint8)
        whole[self._about.dispersed :] = 0
        room = whole.data[: self._about.dispersed]
        AESGCM(self._object).encrypt_into(_NONCE, data, self._head, room)
        return whole

    def open(self, closed: Buffer) -> bytes | None:
        """Return the object; None if it is not what was closed."""
        try:
            return AESGCM(self._object).decrypt(_NONCE, closed, self._head)
        except InvalidTag:
            return None

    def commit(self, held: Buffer) -> bytes:
        """Return the commitment to what the bodies hold together."""
        code = hmac.new(self._commitment, self._head, "sha256")
        code.update(held)
        return code.digest()

    def tag(self, index: int, body: Buffer) -> bytes:
        """Return the tag of a body: GMAC, which is GCM without a plaintext."""
        return self._tag.encrypt(index.to_bytes(len(_NONCE)), b"", body)

    def fits(self, share: Share) -> bool:
        """Return whether a share's body is the one that its tag is of."""
        return hmac.compare_digest(self.tag(share.index, share.body), share.tag)


class Stream:
    """Random bytes: the key stream of AES-256-CTR under a fresh seed.

    As good as the kernel's, which is a stream cipher under a random key as
    well, and many times as fast (docs/decisions/0301-shares.md).
    """

    def __init__(self, seed: bytes) -> None:
        self._cipher = Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor()
        self._zeros = b""
        self._room = bytearray()

    def draw(self, count: int) -> bytearray:
        """Return so many bytes, and some to ignore, valid until the next call."""
        if len(self._zeros) != count:
            self._zeros = bytes(count)
            self._room = bytearray(count + _CTR_MARGIN)
        self._cipher.update_into(self._zeros, self._room)
        return self._room


def derive(secret: bytes, purpose: bytes) -> bytes:
    """Return the key of a set for one purpose."""
    return HKDF(SHA256(), KEY_BYTES, None, b"sealnode/v1/share-" + purpose).derive(secret)
