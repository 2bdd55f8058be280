"""Every edit of what was signed is found, and the first bad event is named."""

from __future__ import annotations

import random
import shutil

import pytest

from node.audit import line as lines
from node.audit.check import verify
from node.audit.checkpoint import Signer, generate
from node.audit.log import JsonLog
from node.errors import AuditError, ConfigError
from node.types import Event

START = 1_767_312_000.0
PRIVATE, PUBLIC = generate("test")
EVENTS = 60  # three days of twenty


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log of three days, all of it signed."""
    directory = tmp_path_factory.mktemp("log") / "audit"
    now = [START]
    sink = JsonLog(directory, signer=Signer(PRIVATE), clock=lambda: now[0])
    for number in range(1, EVENTS + 1):
        now[0] += 86400 / 20
        event = Event("instance_accepted", "OBJECT", "receive", facts={"entry": number})
        sink.append(number, now[0] - 4000, event)
        if number % 7 == 0:
            sink.flush()
    now[0] += 60
    sink.flush()
    sink.close()
    return directory


@pytest.fixture
def copy(log, tmp_path):
    return shutil.copytree(log, tmp_path / "copy")


def days(directory):
    return sorted(directory.glob("*.jsonl"))


def all_lines(directory):
    return [line for path in days(directory) for line in path.read_bytes().splitlines()]


def rechain(texts):
    """Make every line name the one before it, as one who knows the format would."""
    prev, chained = lines.FIRST, []
    for text in texts:
        head = text.rpartition(b',"prev":"')[0]
        chained.append(head + b',"prev":"' + prev.encode() + b'"}')
        prev = lines.link(chained[-1])
    return chained


def test_a_sound_log_is_sound(log):
    report = verify(log, PUBLIC)
    report.insist()
    assert (report.events, report.signed, report.files) == (EVENTS, EVENTS, 3)
    assert report.first_bad == 0
    assert report.checkpoints > 3


def test_without_a_key_the_chain_is_proved(copy):
    report = verify(copy)
    assert (report.events, report.signed, report.problem) == (EVENTS, 0, "")
    path = days(copy)[1]
    path.write_bytes(path.read_bytes().replace(b'"entry":30', b'"entry":31'))
    assert verify(copy).first_bad == 30


def test_an_empty_log_is_sound(tmp_path):
    assert verify(tmp_path, PUBLIC).problem == ""
    assert verify(tmp_path / "nowhere", PUBLIC).events == 0


def test_a_broken_log_is_an_audit_error_that_names_the_event(copy):
    path = days(copy)[0]
    path.write_bytes(path.read_bytes().replace(b'"entry":7,', b'"entry":8,', 1))
    path.write_bytes(path.read_bytes().replace(b'"entry":7}', b'"entry":8}', 1))
    with pytest.raises(AuditError, match="event 7:") as caught:
        verify(copy, PUBLIC).insist()
    assert caught.value.exit_code == 20


def test_another_key_opens_no_checkpoint(log):
    report = verify(log, generate("test")[1])
    assert (report.signed, report.first_bad) == (0, 1)
    with pytest.raises(ConfigError):
        verify(log, "nonsense")


def test_a_log_goes_on_under_a_new_key_that_knows_the_former(copy):
    private, public = generate("test")
    sink = JsonLog(copy, signer=Signer(private))
    with pytest.raises(AuditError):
        sink.append(EVENTS + 1, START * 2, Event("later"))
    sink.close()
    sink = JsonLog(copy, signer=Signer(private), former=[PUBLIC])
    sink.append(EVENTS + 1, START * 2, Event("later"))
    sink.close()
    assert verify(copy, PUBLIC).first_bad == EVENTS + 1
    assert verify(copy, public).first_bad == 1
    assert verify(copy, PUBLIC, public).signed == EVENTS + 1


def test_a_history_written_anew_is_found_by_its_checkpoints(copy):
    """Whoever can write the files but has no key can make the chain fit, not the tree."""
    texts = [t.replace(b'"entry":33}', b'"entry":34}') for t in all_lines(copy)]
    texts = rechain(texts)
    for path in days(copy):
        count = len(path.read_bytes().splitlines())
        path.write_bytes(b"".join(text + b"\n" for text in texts[:count]))
        texts = texts[count:]
    assert verify(copy).problem == ""
    report = verify(copy, PUBLIC)
    assert report.signed < 33
    assert report.signed < report.first_bad <= 33


def test_removing_all_checkpoints_is_found(copy):
    for path in copy.glob("*.notes"):
        path.unlink()
    assert verify(copy, PUBLIC).problem == "there is no checkpoint"


def test_too_many_events_without_a_checkpoint_are_found(tmp_path):
    sink = JsonLog(tmp_path / "audit", signer=Signer(PRIVATE), clock=lambda: START)
    for number in range(1, 3502):
        sink.append(number, START, Event("e"))
    sink.close()
    [path] = (tmp_path / "audit").glob("*.notes")
    assert verify(tmp_path / "audit", PUBLIC).problem == ""
    notes = path.read_bytes().split(b"\n\n")
    path.write_bytes(b"\n\n".join(notes[:2]) + b"\n\n")
    report = verify(tmp_path / "audit", PUBLIC)
    assert report.first_bad == 1001
    assert "in time" in report.problem


# Random edits


def flip(rng, directory):
    path = rng.choice([*days(directory), *sorted(directory.glob("*.notes"))])
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def insert(rng, directory):
    path = rng.choice([*days(directory), *sorted(directory.glob("*.notes"))])
    data = path.read_bytes()
    place = rng.randrange(len(data) + 1)
    byte = bytes([rng.choice([rng.randrange(256), 10, 13, 32])])
    path.write_bytes(data[:place] + byte + data[place:])


def remove(rng, directory):
    path = rng.choice([*days(directory), *sorted(directory.glob("*.notes"))])
    data = path.read_bytes()
    place = rng.randrange(len(data))
    path.write_bytes(data[:place] + data[place + 1 :])


def change_lines(rng, directory, change):
    path = rng.choice(days(directory))
    texts = path.read_bytes().splitlines(keepends=True)
    change(texts)
    path.write_bytes(b"".join(texts))


def delete_line(rng, directory):
    change_lines(rng, directory, lambda texts: texts.pop(rng.randrange(len(texts))))


def double_line(rng, directory):
    def change(texts):
        place = rng.randrange(len(texts))
        texts.insert(rng.randrange(len(texts)), texts[place])

    change_lines(rng, directory, change)


def swap_lines(rng, directory):
    def change(texts):
        a, b = rng.sample(range(len(texts)), 2)
        texts[a], texts[b] = texts[b], texts[a]

    change_lines(rng, directory, change)


def change_fact(rng, directory):
    def change(texts):
        place = rng.randrange(len(texts))
        texts[place] = texts[place].replace(b'"receive"', b'"nobody"')

    change_lines(rng, directory, change)


def truncate(rng, directory):
    path = rng.choice(days(directory))
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def delete_day(rng, directory):
    rng.choice(days(directory)).unlink()


def swap_days(rng, directory):
    a, b = rng.sample(days(directory), 2)
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)


def rewrite(rng, directory):
    texts = all_lines(directory)
    texts.pop(rng.randrange(len(texts)))
    texts = [
        b'{"seq":%d,' % number + text.partition(b",")[2] for number, text in enumerate(texts, 1)
    ]
    for path in days(directory):
        path.write_bytes(b"")
    days(directory)[0].write_bytes(b"".join(text + b"\n" for text in rechain(texts)))


EDITS = [
    flip, flip, flip, insert, remove, delete_line, double_line, swap_lines, change_fact,
    truncate, delete_day, swap_days, rewrite,
]  # fmt: skip


def found(log, directory, seed):
    """Edit a copy at random; return the edit and what was reported."""
    rng = random.Random(seed)
    before = {path.name: path.read_bytes() for path in log.iterdir()}
    edit = rng.choice(EDITS)
    edit(rng, directory)
    after = {path.name: path.read_bytes() for path in directory.iterdir()}
    report = verify(directory, PUBLIC)
    for name in after.keys() | before.keys():
        if after.get(name) != before[name]:
            (directory / name).write_bytes(before[name])
    return edit.__name__, before != after, report


def edit_many(log, directory, seeds):
    missed = []
    for seed in seeds:
        edit, changed, report = found(log, directory, seed)
        good = bool(report.problem) and 1 <= report.first_bad <= EVENTS + 1
        if good != changed:
            missed.append((seed, edit, report))
    assert missed == []


def test_hundreds_of_random_edits_are_found(log, copy):
    edit_many(log, copy, range(400))


@pytest.mark.slow
def test_ten_thousand_and_more_random_edits_are_found(log, copy):
    edit_many(log, copy, range(400, 12_000))


@pytest.mark.parametrize("seed", range(40))
def test_the_first_bad_event_is_the_edited_one(copy, seed):
    rng = random.Random(seed)
    number = rng.randrange(1, EVENTS)
    for path in days(copy):
        old = b'"entry":%d}' % number
        path.write_bytes(path.read_bytes().replace(old, b'"entry":0}'))
    assert verify(copy, PUBLIC).first_bad == number


@pytest.mark.parametrize("seed", range(20))
def test_the_first_missing_event_is_named(copy, seed):
    number = random.Random(seed).randrange(1, EVENTS + 1)
    for path in days(copy):
        texts = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(t for t in texts if not t.startswith(b'{"seq":%d,' % number)))
    report = verify(copy, PUBLIC)
    assert report.first_bad == number
    assert report.events == number - 1
