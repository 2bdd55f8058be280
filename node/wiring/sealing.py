"""Keys, mark and codec, as configured."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from node.config.config import Config
    from node.crypto.keyring import DirectoryKeys
    from node.crypto.token import Token
    from node.dicom.pixels import Codec
    from node.mark.base import Embedder
    from node.seal import Marker
    from node.sealing.classical import Method
    from node.sealing.copies import Copies
    from node.sealing.pseudonyms import Pseudonyms
    from node.sealing.sharing import Namer, Sharer
    from node.sealing.signatures import Signatory
    from node.types import Attachment, Route
    from node.verify import Examiner


PIN = "token.pin"  # as a service manager's credential


def keys(config: Config) -> DirectoryKeys:
    """Open the key directory; secrets that a service manager gave go first."""
    from node.crypto.keyring import DirectoryKeys
    from node.crypto.payload import DNA_SUITE, SUITE

    given = os.environ.get("CREDENTIALS_DIRECTORY")
    held = token(config)
    return DirectoryKeys(
        config.node.keys,
        credentials=Path(given) if given else None,
        token=partial(held.identity, config.keys.key) if held else None,
        suite=DNA_SUITE if config.keys.dna else SUITE,
    )


def token(config: Config) -> Token | None:
    """Return the token that has the key that opens, if one is configured; it is not touched."""
    from node.crypto import keyfile
    from node.crypto.token import Token

    if config.keys.pkcs11_module is None or config.keys.token is None:
        return None
    path = Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / PIN
    given = path.is_absolute() and path.exists()

    def pin() -> str:
        mode = keyfile.LITTLE if given else keyfile.SECRET
        return keyfile.read(path if given else config.keys.pin, mode).decode().strip()

    return Token(config.keys.pkcs11_module, config.keys.token, pin)


def check_keys(config: Config) -> None:
    """Refuse keys that the configured profile does not allow to seal with.

    :raises ConfigError: with every such key.
    """
    from node.crypto import fips

    if config.keys.profile == "fips" and (found := fips.mistakes(keys(config))):
        raise ConfigError(found, hint="docs/keys.md says how to change over to profile fips")


def embedder(*, fine: bool = False) -> Embedder:
    """Return a mark that this version makes.

    :param fine: the one that changes least, over each image as one tile.
    """
    from node.mark.embedder import TiledEmbedder
    from node.mark.fine.embedder import FineEmbedder

    return FineEmbedder(whole=True) if fine else TiledEmbedder()


def classical(name: str, codec: Codec) -> Method:
    """Return what marks and reads files by a classical method; see ``node.mark.classical``."""
    from node.sealing.classical import Method

    return Method(classical_embedder(name), codec)


def classical_embedder(name: str) -> Embedder:
    """Return a classical embedder.

    :raises UsageError: there is none of this name.
    """
    from node.mark.classical.dct import CosineEmbedder
    from node.mark.classical.dft import FourierEmbedder
    from node.mark.classical.dwt_svd import SingularValueEmbedder
    from node.mark.classical.lsb import LsbEmbedder

    known: tuple[Embedder, ...] = (
        LsbEmbedder(), CosineEmbedder(), FourierEmbedder(), SingularValueEmbedder(),
    )  # fmt: skip
    for embedder in known:
        if embedder.name == name:
            return embedder
    raise UsageError(f'there is no embedder "{name}"')


@contextmanager
def codec() -> Iterator[Codec]:
    """Give the codec for encapsulated pixels; its child process ends with the block."""
    from node.dicom.codecs import Decoder

    with Decoder() as made:
        yield made


def examiner(config: Config, codec: Codec, *, everywhere: bool = False) -> Examiner:
    """Return what verifies and restores under every key of the ring.

    :param everywhere: look for the finer mark even in objects that do not say that they are
        sealed, which takes a while.
    """
    from node.verify import Examiner

    ring = keys(config)
    return Examiner(
        ring.opener(),
        embedder(),
        codec,
        copies(config),
        ring.custodian(),
        finer=embedder(fine=True),
        everywhere=everywhere,
    )


def copies(config: Config) -> Copies:
    """Return what tells whose image a lossy copy is of."""
    from node.sealing.copies import Copies

    return Copies(config.hospitals.values(), keys(config).robust_key(), config.routes)


def marker(config: Config, codec: Codec, *, fine: bool = False) -> Marker:
    """Return what seals and proves; it needs no opening key.

    :param fine: mark as little as can be: see :func:`embedder`.
    """
    from node.config.quality import limits_of
    from node.seal import Marker
    from node.verify import Examiner

    check_keys(config)
    ring, mark = keys(config), embedder(fine=fine)
    prover = Examiner(ring.prover(), mark, codec)
    return Marker(ring.sealer(), mark, codec, prover, partial(limits_of, config.quality))


def namer(config: Config) -> Namer:
    """Return what says how shares are called where they are kept."""
    from node.sealing.sharing import Namer

    return Namer(keys(config).pseudonymizer().digest)


def sharer(config: Config) -> Sharer:
    """Return what divides sealed objects; it needs the key that signs shares."""
    from node.sealing.sharing import Sharer

    return Sharer(keys(config).share_signer(), namer(config))


def pseudonyms(config: Config, route: Route) -> Pseudonyms | None:
    """Return what the objects of a route say instead of who they are about, if they do.

    :raises ConfigError: there is no usable mapping key.
    """
    from node.crypto.envelope import Envelope
    from node.crypto.mapping import Mapping
    from node.sealing.pseudonyms import Pseudonyms
    from node.types import Profile

    if route.uid == "keep":
        return None
    hidden = route.identity == "pseudonym"
    profile = config.profiles.get(route.profile, Profile()) if hidden else None
    mapping = Mapping(keys(config).mapping_key())
    if profile is None or not profile.certificates:
        return Pseudonyms(mapping, profile)
    certificates = [Path(one).read_bytes() for one in profile.certificates]
    return Pseudonyms(mapping, profile, Envelope(certificates, mapping.secret("envelope")))


def attachments(config: Config) -> Callable[[Route, bytes], tuple[Attachment, ...] | None]:
    """Return what finds the attachments for an object of a route; None where it wants none."""
    from node.sealing.dropfolder import DropFolder

    settings = config.attachments
    if settings.folder is None:
        return lambda _route, _data: None
    folder = DropFolder(settings.folder, settings.max_size)
    return lambda route, data: folder.of(data) if route.attachments else None


def signatory(config: Config, name: str) -> Signatory | None:
    """Return what signs in the name of a ``[signer.*]``; None for no name.

    :raises ConfigError: its files cannot be used.
    """
    from node.crypto.signature import load
    from node.sealing.signatures import Signatory

    if not name:
        return None
    files = config.signers[name]
    return Signatory(load(files.certificate, files.key))


@lru_cache(maxsize=64)
def logo(path: str) -> bytes:
    """Return the packed logo of a PNG file; ``b""`` for no path.

    :raises ConfigError: it is no PNG that can be used.
    """
    from node.mark.logo import pack

    return pack(Path(path).read_bytes()) if path else b""
