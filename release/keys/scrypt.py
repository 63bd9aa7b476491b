"""How minisign turns a password into a key stream: scrypt, with libsodium's way from limits to parameters.

A key file names two limits (operations and memory) and not scrypt's own N, r and p. Whoever derives them differently
by one bit gets another stream, so the steps below are libsodium's, one for one.
"""

from __future__ import annotations

__all__ = ["MEMLIMIT", "MEMORY_LIMIT", "OPSLIMIT", "WORK_LIMIT", "Cost", "cost", "stream"]

from dataclasses import dataclass

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

# What keygen writes: N=2^14 takes 50 ms and 16 MiB, which fits any CI container. libsodium calls it "interactive".
OPSLIMIT = 524_288
MEMLIMIT = 16 * 1024 * 1024

# minisign's own default is 1 GiB and takes 5 seconds; what goes beyond is a mistake or an attack.
MEMORY_LIMIT = 11 * 1024**3 // 10
# Twice minisign's default. Without it a small file could ask for years of computing at little memory.
WORK_LIMIT = 2 << 23

_MIN_OPSLIMIT = 32_768
_BLOCK = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """scrypt's parameters."""

    n: int
    r: int
    p: int

    @property
    def memory(self) -> int:
        """Bytes that deriving takes."""
        return 128 * self.r * (self.n + self.p + 2)

    @property
    def work(self) -> int:
        """Block mixings that deriving takes; 2^23 are about five seconds."""
        return self.n * self.r * self.p

    @property
    def affordable(self) -> bool:
        """Whether deriving stays within both limits."""
        return self.p > 0 and self.memory <= MEMORY_LIMIT and self.work <= WORK_LIMIT


def cost(opslimit: int, memlimit: int) -> Cost:
    """Give the parameters libsodium picks for two limits, each an unsigned 64-bit number."""
    opslimit = max(opslimit, _MIN_OPSLIMIT)
    bound_by_operations = opslimit < memlimit // 32
    most = opslimit // (_BLOCK * 4) if bound_by_operations else memlimit // (_BLOCK * 128)
    log2_n = 1
    while log2_n < 63 and (1 << log2_n) <= most // 2:  # noqa: PLR2004  libsodium's bound
        log2_n += 1
    if bound_by_operations:
        return Cost(n=1 << log2_n, r=_BLOCK, p=1)
    return Cost(n=1 << log2_n, r=_BLOCK, p=min((opslimit // 4) >> log2_n, 0x3FFFFFFF) // _BLOCK)


def stream(password: bytes, salt: bytes, parameters: Cost, length: int) -> bytes:
    """Derive the key stream.

    Raises:
        MemoryError: The machine does not have the memory.
    """
    return Scrypt(salt=salt, length=length, n=parameters.n, r=parameters.r, p=parameters.p).derive(password)
