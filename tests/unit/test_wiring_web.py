"""What an operator hears who names a DICOMweb archive without the libraries for it."""

from __future__ import annotations

import pytest
from configuration import write
from running import nodectl

from node.config.load import load
from node.errors import ConfigError
from node.wiring import network

CLOUD = '[destination.cloud]\nurl = "https://cloud.example.org/dicom-web"\n'


def test_an_archive_on_the_web_needs_its_extra_and_check_says_so(tmp_path, monkeypatch):
    write(tmp_path, cloud=CLOUD)
    config = load(tmp_path)
    monkeypatch.setattr(network, "installed", lambda _: False)
    with pytest.raises(ConfigError) as error:
        network.archive(config, config.destinations["cloud"])
    assert error.value.mistakes == ("destination.cloud.url: needs dicomweb-client",)
    assert "sealnode[web]" in error.value.hint
    said = nodectl("--config", tmp_path, "check", "--offline", expect=3).stderr
    assert "destination.cloud.url: needs dicomweb-client" in said
