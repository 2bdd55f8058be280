"""What docs/configure.md shows is a configuration, and names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from node.cli.init import draw_logo
from node.config import check
from node.config.load import load
from node.types import ROUTING_KEYWORDS, Action, Unsealable

MANUAL = (Path(__file__).resolve().parents[3] / "docs" / "configure.md").read_text()


def write_examples(directory):
    """Write the manual's examples into the files that their first lines name."""
    (directory / "routes.d").mkdir()
    (directory / "tls").mkdir()
    for name, text in re.findall(r"```toml\n# (\S+)\n(.*?)```", MANUAL, re.DOTALL):
        with (directory / name).open("a") as stream:
            stream.write(text)
    (directory / "cloud.token").touch(mode=0o400)
    for name in ("hospital-ca.pem", "node.pem", "node.key"):
        (directory / "tls" / name).write_text("PEM")
        (directory / "tls" / name).chmod(0o400)
    (directory / "logo.png").write_bytes(draw_logo())


def test_the_examples_together_are_a_configuration_whose_tests_hold(tmp_path):
    write_examples(tmp_path)

    config = load(tmp_path)

    check.approve(config)
    assert len(config.tests) == 3
    assert MANUAL.count("```toml") == MANUAL.count("```toml\n# ")


def test_the_manual_names_every_routing_keyword_action_and_rule():
    listed = re.search(r"can be matched, and no others: (.*?)None says", MANUAL, re.DOTALL)

    assert set(re.findall(r"`(\w+)`", listed[1])) == ROUTING_KEYWORDS
    for word in (*Action, *Unsealable):
        assert f'`"{word.value}"`' in MANUAL
