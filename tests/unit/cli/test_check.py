"""``nodectl check``."""

from __future__ import annotations

import json

import pytest
from certificates import Certificates

from node.types import Deferred, Delivered


def routes(directory):
    return directory / "routes.d" / "10-ct.toml"


def test_a_right_configuration_is_counted_and_exits_0(nodectl, directory):
    ended = nodectl("--config", directory, "check", "--offline")

    assert ended.status == 0
    assert ended.stdout == "no mistakes: 1 source, 1 destination, 1 route, 1 test passed\n"
    assert ended.stderr == ""


def test_mistakes_exit_3(nodectl, directory):
    routes(directory).write_text("[[rout]]\n")

    ended = nodectl("--config", directory, "check", "--offline")

    assert ended.status == 3
    assert ended.stdout == ""
    assert "nodectl: error: routes.d/10-ct.toml: rout: unknown key" in ended.stderr


def test_a_test_that_fails_exits_3(nodectl, directory):
    text = routes(directory).read_text().replace('Modality = "CT" }', 'Modality = "MR" }')
    routes(directory).write_text(text)

    ended = nodectl("--config", directory, "check", "--offline")

    assert ended.status == 3
    assert "test[1].expect.route: expected" in ended.stderr


@pytest.mark.parametrize(("deny", "status"), [([], 0), (["--deny-warnings"], 3)])
def test_warnings_are_told_and_may_be_denied(nodectl, directory, deny, status):
    routes(directory).write_text(routes(directory).read_text().partition("[[test]]")[0])

    ended = nodectl("--config", directory, "check", "--offline", *deny)

    assert ended.status == status
    assert ended.stderr.startswith("nodectl: warning: routes.d: there is no [[test]]")
    assert bool(ended.stdout) is not bool(status)


def test_json_holds_mistakes_and_warnings_whatever_the_outcome(nodectl, directory):
    good = nodectl("--config", directory, "check", "--offline", "--json")
    routes(directory).write_text("[[rout]]\n")
    bad = nodectl("--config", directory, "check", "--offline", "--json")

    assert json.loads(good.stdout) == {
        "result": "good", "mistakes": [], "warnings": [], "tests": 1
    }  # fmt: skip
    assert json.loads(bad.stdout)["result"] == "mistakes"
    assert len(json.loads(bad.stdout)["mistakes"]) == 1
    assert (good.status, bad.status) == (0, 3)


@pytest.mark.parametrize(
    ("answer", "warned"), [(Delivered(), False), (Deferred("no connection"), True)]
)
def test_a_destination_that_does_not_answer_is_a_warning(
    nodectl, directory, monkeypatch, answer, warned
):
    monkeypatch.setattr("node.wiring.echo", lambda _config: lambda _peer: answer)

    ended = nodectl("--config", directory, "check")

    assert ended.status == 0
    assert ("destination.pacs-main: no connection" in ended.stderr) is warned


def test_certificates_are_looked_at(nodectl, directory, tmp_path):
    made = Certificates(tmp_path)
    for name in ("node", "expired"):
        made.key(name).chmod(0o400)
    node = directory / "node.toml"
    table = "\n[tls.{0}]\nca = '{1}'\ncertificate = '{2}'\nkey = '{3}'\n"
    for name in ("node", "expired"):
        files = made.certificate("ca"), made.certificate(name), made.key(name)
        node.write_text(node.read_text() + table.format(name, *files))

    ended = nodectl("--config", directory, "check", "--offline")

    assert ended.status == 0
    assert "tls.node: a certificate expires in 0 days" in ended.stderr
    assert "tls.expired: a certificate has expired" in ended.stderr

    made.key("node").write_text(made.key("expired").read_text())
    ended = nodectl("--config", directory, "check", "--offline")

    assert ended.status == 3
    assert "tls.node: " in ended.stderr
    assert "no usable certificate and key" in ended.stderr


def test_the_storage_of_the_spool_is_looked_at(nodectl, directory):
    ended = nodectl("--config", directory, "check", "--offline", "--disk")

    assert ended.status == 0
    assert "a write of 4 KiB is safe after" in ended.stderr
