"""Shares come back from real archives: some of them dead, forgetful, or lying."""

from __future__ import annotations

import itertools
import threading
from contextlib import ExitStack
from dataclasses import replace
from io import BytesIO

import pytest
from archive import Archive as Pacs
from network import requestor
from pydicom import dcmread
from running import free_ports
from sealing import RECEIVED_AT, sample

from node.crypto.pseudonym import Pseudonymizer
from node.crypto.shares.signer import Signer
from node.dicom import share_object
from node.dicom.acceptance import Settings
from node.dicom.archive import DimseArchive
from node.dicom.scu import StorageScu
from node.dicom.sending import Outgoing
from node.errors import UnreachableError
from node.retrieval.gather import Gatherer, keepers, report
from node.sealing.sharing import Namer, Sharer
from node.types import Action, Instance, Route

pytestmark = pytest.mark.slow  # sockets on both sides, and a second to close them

SITE = Signer(b"s" * 32)
NAMER = Namer(Pseudonymizer(b"p" * 32).digest)
STUDY, SERIES = "1.2.826.0.1.3680043.10.1234.88", "1.2.826.0.1.3680043.10.1234.88.9"


def sealed(number: int) -> bytes:
    """Return an object that stands for a sealed one."""
    ds = dcmread(BytesIO(sample("CT_small.dcm")))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, SERIES
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{SERIES}.{number}"
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def instance(number: int, **changes) -> Instance:
    made = Instance("1.2", f"{SERIES}.{number}", STUDY, SERIES, "1.2.840.10008.1.2.1", "", 1,
                    received_at=RECEIVED_AT)  # fmt: skip
    return replace(made, **changes)


class World:
    """Archives a, b, c … that each keep a share of some objects."""

    def __init__(self, tmp_path, archives: dict[str, Pacs], lives: dict[str, ExitStack]) -> None:
        self.archives = archives
        self.lives = lives
        self.folder = tmp_path / "gathered"
        self.folder.mkdir()

    def keep(self, number: int, k: int, *, signer=SITE, whole=b"", to="", **changes) -> bytes:
        """Share an object out; return it."""
        whole = whole or sealed(number)
        made = Sharer(signer, NAMER).share(
            whole, instance(number, **changes), k, len(self.archives)
        )
        for (name, archive), share in zip(self.archives.items(), made, strict=True):
            if not to or name in to:
                self.put(archive, share.data)
        return whole

    def put(self, archive: Pacs, data: bytes) -> None:
        uid = dcmread(BytesIO(data), stop_before_pixels=True).SOPInstanceUID
        scu = StorageScu(requestor(archive.port, aet="ARCHIVE"))
        scu.send(Outgoing(*_pair(uid), lambda: BytesIO(data)))
        scu.close()

    def spoil(self, name: str, change) -> None:
        """Change every share that an archive keeps."""
        for uid in self.archives[name].uids():
            path = self.archives[name].path(uid)
            ds = dcmread(path)
            body = ds.private_block(0x5345, share_object.CREATOR)[0x10]
            body.value = change(body.value)
            ds.save_as(path, enforce_file_format=True)

    def gatherer(self, k: int = 2) -> Gatherer:
        archives = {
            name: DimseArchive(
                requestor(one.port, aet="ARCHIVE"), Settings("FETCH", port=free_ports(1)[0])
            )
            for name, one in self.archives.items()
        }
        return Gatherer(archives, NAMER, threshold=k, trusted=[SITE.public])

    def gather(self, level="STUDY", k=2, **keys):
        keys = {name: (uid,) for name, uid in ({"StudyInstanceUID": STUDY} | keys).items()}
        gatherer = self.gatherer(k)
        return list(gatherer.gather(gatherer.contents(level, keys), self.folder))


def _pair(uid: str) -> tuple[str, str, str]:
    return share_object.RAW_DATA, uid, "1.2.840.10008.1.2.1"


@pytest.fixture
def world(tmp_path, request):
    count = getattr(request, "param", 3)
    with ExitStack() as stack:
        lives = {name: stack.enter_context(ExitStack()) for name in "abcde"[:count]}
        archives = {name: life.enter_context(Pacs(tmp_path / name)) for name, life in lives.items()}
        yield World(tmp_path, archives, lives)


def kill(world: World, *names: str) -> None:
    for name in names:
        world.lives[name].close()


def data(gathered) -> bytes | None:
    return gathered.path and gathered.path.read_bytes()


def blamed(gathered) -> dict[str, str]:
    return {blame.destination: blame.state for blame in gathered.blames}


def flip(body: bytes) -> bytes:
    return body[:-9] + bytes([body[-9] ^ 1]) + body[-8:]


def flip_header(body: bytes) -> bytes:
    return body[:110] + bytes([body[110] ^ 1]) + body[111:]


@pytest.mark.slow
@pytest.mark.parametrize(
    "level", [{}, {"SeriesInstanceUID": SERIES}, {"SOPInstanceUID": f"{SERIES}.2"}],
    ids=["STUDY", "SERIES", "IMAGE"],
)  # fmt: skip
def test_objects_are_found_by_the_uids_of_the_originals(world, level):
    wholes = {world.keep(number, 2) for number in (1, 2)}
    world.keep(3, 2, study_instance_uid="1.9")
    found = world.gather("IMAGE" if "SOPInstanceUID" in level else "STUDY", **level)
    if "SOPInstanceUID" in level:
        wholes = {sealed(2)}
        assert [one.kept.uid for one in found] == [f"{SERIES}.2"]
    assert {data(one) for one in found} == wholes
    assert not any(one.blames for one in found)
    assert {one.uid for one in found} <= {f"{SERIES}.1", f"{SERIES}.2"}


@pytest.mark.slow
@pytest.mark.parametrize("world", [5], indirect=True)
@pytest.mark.parametrize("dead", [*itertools.combinations("abcde", 2)], ids="".join)
def test_any_three_of_five_suffice_whichever_two_are_dead(world, dead):
    whole = world.keep(1, 3)
    kill(world, *dead)
    [found] = world.gather(k=3)
    assert data(found) == whole
    assert blamed(found) == {}, "who keeps nothing that anybody lists is not asked for it"


@pytest.mark.slow
@pytest.mark.parametrize("world", [5], indirect=True)
@pytest.mark.parametrize("dead", [*itertools.combinations("abcde", 3)], ids="".join)
def test_fewer_than_three_of_five_do_not_suffice_and_all_that_failed_are_named(world, dead):
    world.keep(1, 3)
    gatherer = world.gatherer(3)
    kept = gatherer.contents("STUDY", {"StudyInstanceUID": (STUDY,)})
    kill(world, *dead)
    [found] = gatherer.gather(kept, world.folder)
    assert (found.path, found.good, found.needed) == (None, 2, 3)
    assert blamed(found) == dict.fromkeys(dead, "unreachable")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "state"),
    [(flip, "damaged"), (flip_header, "damaged"), (lambda b: b[:50], "unreadable")],
    ids=["body", "header", "cut off"],
)
@pytest.mark.parametrize("liar", "ab")
def test_one_lying_share_is_named_and_the_image_still_comes_back(world, liar, change, state):
    whole = world.keep(1, 2)
    world.spoil(liar, change)
    [found] = world.gather()
    assert data(found) == whole
    assert blamed(found) == {liar: state}
    told = []
    assert report(found, told.append) == ""
    assert [blame.destination for blame in told] == [liar]


@pytest.mark.parametrize("world", [4], indirect=True)
def test_one_is_dead_and_another_lies_and_the_image_still_comes_back(world):
    whole = world.keep(1, 2)
    gatherer = world.gatherer()
    kept = gatherer.contents("STUDY", {"StudyInstanceUID": (STUDY,)})
    world.spoil("a", flip)
    kill(world, "b")
    [found] = gatherer.gather(kept, world.folder)
    assert data(found) == whole
    assert blamed(found) == {"a": "damaged", "b": "unreachable"}


@pytest.mark.slow
def test_too_few_good_shares_say_who_failed_and_how(world):
    world.keep(1, 2)
    world.spoil("b", flip)
    gatherer = world.gatherer()
    kept = gatherer.contents("STUDY", {"StudyInstanceUID": (STUDY,)})
    kill(world, "c")
    [found] = gatherer.gather(kept, world.folder)
    assert (found.path, found.good, found.needed) == (None, 1, 2)
    why = report(found, lambda _: None)
    assert why.startswith("2 good shares are needed, 1 are there: ")
    assert "b: damaged" in why
    assert "c: unreachable" in why


@pytest.mark.slow
def test_who_lists_a_share_and_does_not_give_it_is_named(world):
    whole = world.keep(1, 2)
    gatherer = world.gatherer()
    kept = gatherer.contents("STUDY", {"StudyInstanceUID": (STUDY,)})
    world.archives["a"]._index.clear()
    [found] = gatherer.gather(kept, world.folder)
    assert data(found) == whole
    assert blamed(found) == {"a": "missing"}


@pytest.mark.slow
def test_shares_that_another_site_signed_or_of_something_else_count_for_nothing(world):
    """Two keepers together make up a set under the name of an object, a third tells."""
    world.keep(1, 2)
    forged = Sharer(Signer(b"f" * 32), NAMER).share(sealed(7), instance(1), 2, 3)
    other = Sharer(SITE, NAMER).share(sealed(2), instance(2), 2, 3)
    for name, made in (("a", forged), ("b", other)):
        path = world.archives[name].path(next(iter(world.archives[name].uids())))
        ds = dcmread(path)
        ds[0x5345, 0x1010].value = share_object.unwrap(made[0].data)
        ds.save_as(path, enforce_file_format=True)
    [found] = world.gather()
    assert found.path is None
    assert blamed(found) == {"a": "stranger", "b": "stranger"}


@pytest.mark.slow
def test_a_set_that_nobody_trusted_signed_is_refused(world):
    world.keep(1, 2, signer=Signer(b"f" * 32))
    [found] = world.gather()
    assert found.path is None
    assert set(blamed(found).values()) == {"untrusted"}


@pytest.mark.slow
def test_of_two_versions_of_an_object_the_newest_comes_back(world):
    world.keep(1, 2)
    newer = world.keep(1, 2, received_at=RECEIVED_AT + 3600)
    changed = dcmread(BytesIO(newer))
    changed.PatientComments = "second"
    out = BytesIO()
    changed.save_as(out, enforce_file_format=True)
    world.keep(1, 2, whole=out.getvalue(), received_at=RECEIVED_AT + 7200)
    assert len(world.archives["a"].uids()) == 2
    [found] = world.gather()
    assert data(found) == out.getvalue()


@pytest.mark.slow
def test_the_newest_version_does_not_hide_an_older_one_that_is_whole(world):
    older = world.keep(1, 2)
    changed = dcmread(BytesIO(older))
    changed.PatientComments = "second"
    out = BytesIO()
    changed.save_as(out, enforce_file_format=True)
    world.keep(1, 2, whole=out.getvalue(), received_at=RECEIVED_AT + 7200, to="a")
    [found] = world.gather()
    assert data(found) == older


@pytest.mark.slow
def test_who_does_not_even_list_a_share_is_named_when_too_few_are_left(world):
    world.keep(1, 2, to="a")
    kill(world, "b")
    [found] = world.gather()
    assert blamed(found) == {"b": "unreachable", "c": "missing"}
    told = []
    assert "c: missing: it lists no share of it" in report(found, told.append)
    assert told == [], "whom nobody expected to have one is not accused one by one"


@pytest.mark.slow
def test_when_nobody_says_what_there_is_it_says_who_does_not_answer(world):
    world.keep(1, 2)
    kill(world, "a", "b", "c")
    with pytest.raises(UnreachableError, match=r"a: .*b: .*c: "):
        world.gather()


@pytest.mark.slow
def test_who_hangs_is_not_waited_for_once_enough_have_answered(world):
    whole = world.keep(1, 2)
    hang = threading.Event()
    gatherer = world.gatherer()
    slow = gatherer._archives["a"].contents

    def waiting(*args):
        hang.wait(60)
        return slow(*args)

    gatherer._archives["a"].contents = waiting
    kept = gatherer.contents("STUDY", {"StudyInstanceUID": (STUDY,)})
    [found] = gatherer.gather(kept, world.folder)
    hang.set()
    assert data(found) == whole
    assert gatherer.troubles == {"a": "takes too long to answer"}


@pytest.mark.slow
def test_many_objects_are_gathered_in_few_requests(world):
    wholes = {world.keep(number, 2) for number in range(5)}
    gatherer = world.gatherer()
    asked = []
    for archive in gatherer._archives.values():
        fetch = archive.fetch
        archive.fetch = lambda *args, fetch=fetch: asked.append(1) or fetch(*args)
    kept = gatherer.contents("STUDY", {"StudyInstanceUID": (STUDY,)})
    assert {data(one) for one in gatherer.gather(kept, world.folder)} == wholes
    assert len(asked) == 2


def test_who_may_keep_shares_follows_from_the_routes():
    def route(name, *to, k=0):
        return Route(name, {}, Action.SEAL, to, threshold=k)

    routes = [route("a", "x"), route("b", "x", "y", "z", k=3), route("c", "w", "x", k=2),
              route("d", "w", "v", k=2)]  # fmt: skip
    assert keepers(routes, "x") == (["x", "y", "z", "w"], 2)
    assert keepers(routes, "v") == (["v", "w"], 2)
    assert keepers(routes[:1], "x") == ([], 0)
