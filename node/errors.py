"""Everything that can go wrong, in one tree.

Each class says what a person reads (``str``), what may help (``hint``), how
``nodectl`` exits (``exit_code``), what a modality is answered (``status``, a
DIMSE status of PS3.4 B.2.3 or PS3.7 Annex C) and whether trying again can
help (``transient``).

    SealnodeError
    +- UsageError                 2   the command line
    +- ConfigError                3   configuration; carries every mistake found
    +- UnreadableError            4   input that is no DICOM object we can parse
    |  +- MismatchError               command and data set name different objects
    +- VerdictError
    |  +- TamperedError          10
    |  +- UnmarkedError          11
    |  +- NotOurKeyError         12
    |  +- DamagedError           10   a seal that opens with no key it names
    +- DoesNotFitError           13   the pixels cannot carry the payload
    +- UnsealableError           14   cannot be sealed without loss; a rule decides
    |  +- QualityError                marking it would cost more quality than is allowed
    +- RefusedError              14   a route refuses it
    +- ProofError                 1   what was sealed does not restore: a bug; never sent
    +- AuditError                20   the audit log is broken
    +- TransientError            75   try later
       +- SpoolFullError         75   no room left
       +- StaleClaimError        75   another worker owns the row now
       +- UnsealedError          75   it must be sealed before it may leave
       +- UnreachableError       75   a peer does not answer
"""

from __future__ import annotations


class SealnodeError(Exception):
    """The root. Never raised itself.

    :param message: one clear line, lower case, no full stop, no patient data.
    :param hint: what the reader can do about it; may be empty.
    :param code: a stable short name for logs and Error Comment (0000,0902).
    """

    exit_code = 1
    status = 0x0110  # PS3.7 C.4.5: processing failure
    transient = False
    code = "internal"

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if code:
            self.code = code


class UsageError(SealnodeError):
    """The command line makes no sense."""

    exit_code = 2
    code = "usage"


class ConfigError(SealnodeError):
    """The configuration has mistakes; ``mistakes`` holds all of them.

    Each mistake is one line: ``file: key path: what is wrong``.
    """

    exit_code = 3
    code = "config"

    def __init__(self, mistakes: list[str], *, hint: str = "") -> None:
        self.mistakes = tuple(mistakes)
        count = len(mistakes)
        noun = "mistake" if count == 1 else "mistakes"
        super().__init__(f"{count} {noun} in the configuration", hint=hint)


class UnreadableError(SealnodeError):
    """The bytes are no DICOM object that can be parsed within the limits."""

    exit_code = 4
    status = 0xC000  # PS3.4 B.2.3: cannot understand
    code = "unreadable"


class MismatchError(UnreadableError):
    """The data set names another class or instance than the C-STORE command."""

    status = 0xA900  # PS3.4 B.2.3: data set does not match SOP class
    code = "mismatch"


class VerdictError(SealnodeError):
    """An object is not what it should be; the parent of the findings."""


class TamperedError(VerdictError):
    """The object was changed after it was sealed."""

    exit_code = 10
    code = "tampered"


class DamagedError(VerdictError):
    """A payload that claims one of our keys does not open with it."""

    exit_code = 10
    code = "damaged"


class UnmarkedError(VerdictError):
    """The object carries no mark of ours."""

    exit_code = 11
    code = "unmarked"


class NotOurKeyError(VerdictError):
    """The object is sealed under a key that is not in the keyring."""

    exit_code = 12
    code = "not_our_key"


class DoesNotFitError(SealnodeError):
    """The pixels cannot carry the payload within the quality bounds."""

    exit_code = 13
    code = "does_not_fit"


class UnsealableError(SealnodeError):
    """The object cannot be marked without loss; ``code`` says why."""

    exit_code = 14
    code = "unsealable"


class QualityError(UnsealableError):
    """Marking the object would cost more quality than its modality is allowed to lose."""

    code = "quality"


class RefusedError(SealnodeError):
    """A route refuses the object."""

    exit_code = 14
    status = 0x0124  # PS3.7 C.5.x: refused: not authorised
    code = "refused"


class ProofError(SealnodeError):
    """A sealed object did not give its original back. It is never sent."""

    code = "proof"


class AuditError(SealnodeError):
    """The audit log does not verify."""

    exit_code = 20
    code = "audit"


class TransientError(SealnodeError):
    """Trying again can help."""

    exit_code = 75
    status = 0xA700  # PS3.4 B.2.3: out of resources
    transient = True
    code = "try_later"


class SpoolFullError(TransientError):
    """The spool has no room, or the disk refuses to write."""

    code = "spool_full"


class StaleClaimError(TransientError):
    """The lease ran out and another worker owns the row."""

    code = "stale_claim"


class UnsealedError(TransientError):
    """An unprotected object must not leave, or no longer; it is to be sealed first."""

    code = "unsealed"


class UnreachableError(TransientError):
    """A peer does not answer, or answers that it cannot now."""

    code = "unreachable"
