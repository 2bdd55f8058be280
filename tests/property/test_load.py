"""Whatever the files hold, loading gives a configuration or says what is wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path

import configuration
from hypothesis import given
from hypothesis import strategies as st

from node.config.config import Config
from node.config.describe import toml
from node.config.load import load
from node.errors import ConfigError

WORDS = st.sampled_from(
    ["aet", "addresses", "name", "match", "action", "to", "logo", "given", "expect", "node",
     "source", "destination", "tls", "route", "test", "host", "port", "Modality", "seal", "ct1",
     "pacs-main", "10.0.0.1", "30s", "logo.png", "", "a\nb", "x" * 200]
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(WORDS, st.integers(-1, 70000), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(WORDS.filter(bool), inner, max_size=4)
    ),
    max_leaves=12,
)
TABLES = st.sampled_from(
    ["[node]", "[source.ct1]", "[source.x]", "[destination.pacs-main]", "[tls.x]", "[[route]]",
     "[[test]]", "[node.timeouts]", "[source]", "[other]"]
)  # fmt: skip
LINES = st.one_of(
    TABLES,
    st.builds(lambda key, value: f"{toml(key)} = {toml(value)}", WORDS, VALUES),
    st.text(max_size=20),
)


def loaded(node: str, routes: str) -> Config | list[str]:
    with tempfile.TemporaryDirectory() as folder:
        directory = configuration.write(Path(folder))
        for name, text in (("node.toml", node), ("routes.d/10-ct.toml", routes)):
            (directory / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            return load(directory)
        except ConfigError as error:
            return list(error.mistakes)


@given(st.lists(LINES, max_size=8).map("\n".join), st.lists(LINES, max_size=8).map("\n".join))
def test_any_text_gives_a_configuration_or_mistakes(node, routes):
    found = loaded(configuration.NODE + node, configuration.ROUTES + routes)

    if not isinstance(found, Config):
        assert found
        for mistake in found:
            assert mistake.startswith(("node.toml: ", "routes.d/10-ct.toml: "))
            assert mistake.isprintable()
            assert len(mistake) < 500


@given(
    st.dictionaries(WORDS.filter(bool), VALUES, max_size=3),
    st.sampled_from(["node", "source.ct1", "destination.pacs-main"]),
)
def test_any_values_in_a_table_give_a_configuration_or_mistakes(values, name):
    text = f"[{name}]\n" + "\n".join(
        f"{toml(key)} = {toml(value)}" for key, value in values.items()
    )

    assert loaded(text, "") is not None
