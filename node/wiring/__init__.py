"""Config -> objects. The only module that names concrete backends.

Each function imports what it names when it is called: a light verb such as
``nodectl status`` must not pay for numpy.
"""

from node.wiring.commitment import commitment, commitment_scp, reporter
from node.wiring.network import (
    archive,
    client_tls,
    echo,
    fetch,
    known,
    limits,
    requestor,
    sender,
    server,
)
from node.wiring.sealing import (
    classical,
    classical_embedder,
    codec,
    copies,
    embedder,
    examiner,
    keys,
    logo,
    marker,
    namer,
    pseudonyms,
    sharer,
)
from node.wiring.spool import (
    audit_folder,
    audit_log,
    blobs,
    doorbell,
    ledger,
    months_folder,
    patients,
)
from node.wiring.stages import (
    SLOT,
    STAGES,
    forwarder,
    processor,
    proved,
    reaper,
    receiver,
    worker_name,
)

__all__ = [
    "SLOT",
    "STAGES",
    "archive",
    "audit_folder",
    "audit_log",
    "blobs",
    "classical",
    "classical_embedder",
    "client_tls",
    "codec",
    "commitment",
    "commitment_scp",
    "copies",
    "doorbell",
    "echo",
    "embedder",
    "examiner",
    "fetch",
    "forwarder",
    "keys",
    "known",
    "ledger",
    "limits",
    "logo",
    "marker",
    "months_folder",
    "namer",
    "patients",
    "processor",
    "proved",
    "pseudonyms",
    "reaper",
    "receiver",
    "reporter",
    "requestor",
    "sender",
    "server",
    "sharer",
    "worker_name",
]
