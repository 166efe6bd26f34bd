"""A witness: a department or the auditor who cosigns checkpoints that extend the last one.

A log that shows different pasts to different readers gets one of them refused by every honest
witness. The witness remembers the newest checkpoint that it cosigned, on disk, before it answers.

Spec: docs/spec/audit-log.md, "Witness"; C2SP tlog-witness without its HTTP.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from middleplatform.audit.checkpoint import Checkpoint, open_checkpoint
from middleplatform.audit.faults import invalid
from middleplatform.audit.keys import VerifierKey, WitnessSigner
from middleplatform.audit.merkle import SHA256, HashProfile
from middleplatform.audit.proof import check_extension
from middleplatform.errors import ConfigError
from middleplatform.ports import Clock

__all__ = ["Witness"]


class Witness:
    """Cosigns the checkpoints of one log.

    Args:
        signer: The witness's key.
        keys: The log's public keys, the present one first.
        memory: File in which the newest cosigned checkpoint is kept.
        clock: For the time in the cosignature.
        profile: The log's hash function.
    """

    def __init__(
        self, signer: WitnessSigner, keys: Sequence[VerifierKey], memory: Path, clock: Clock,
        profile: HashProfile = SHA256,
    ) -> None:  # fmt: skip
        self._signer, self._keys, self._memory = signer, tuple(keys), memory
        self._clock, self._profile = clock, profile

    @property
    def key(self) -> VerifierKey:
        """Return the witness's public key."""
        return self._signer.key

    def seen(self) -> Checkpoint:
        """Return the newest checkpoint that was cosigned; an empty one in the beginning.

        Raises:
            AuditError: A002 when the memory was altered.
            ConfigError: C011 when it cannot be read.
        """
        try:
            text = self._memory.read_bytes().decode()
        except FileNotFoundError:
            return Checkpoint(self._keys[0].name, 0, self._profile.empty())
        except (OSError, ValueError) as error:
            raise ConfigError(
                "C011", what=("the witness's memory", "见证方状态"), detail=str(error)
            ) from None
        return open_checkpoint(text, self._keys).checkpoint

    def cosign(self, text: str, proof: Iterable[bytes]) -> str:
        """Check ``text`` against what was seen before, remember it, return the cosignature line.

        Args:
            text: The log's signed checkpoint.
            proof: Consistency proof from ``seen().size`` to its size.

        Raises:
            AuditError: A002 when it is not signed by the log, is smaller than one seen before, or
                is not an extension of it (a split view: keep both texts, they convict the log).
            ConfigError: C011 when it cannot be remembered: nothing is cosigned then.
        """
        with self._alone():
            new = open_checkpoint(text, self._keys).checkpoint
            old = self.seen()
            if new.size < old.size:
                raise invalid("the log shrank", "日志变短")
            check_extension(old, new, proof, self._profile)
            self._remember(text)
        return self._signer.cosign(new.body(), int(self._clock.now().timestamp()))

    def _remember(self, text: str) -> None:
        scratch = self._memory.with_name(f".{self._memory.name}.{os.getpid()}.new")
        try:
            descriptor = os.open(
                scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
            )
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self._memory)
            directory = os.open(self._memory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise ConfigError(
                "C011", what=("the witness's memory", "见证方状态"), detail=str(error)
            ) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep two requests from passing each other between check and memory (tlog-witness)."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(self._memory.with_name(self._memory.name + ".lock"), flags, 0o600)
        except OSError as error:
            raise ConfigError(
                "C011", what=("the witness's memory", "见证方状态"), detail=str(error)
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
