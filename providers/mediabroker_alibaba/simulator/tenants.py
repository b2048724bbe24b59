"""Who may call: accounts, and the key pairs that sign for them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from mediabroker.clock import Clock

__all__ = ["Account", "KeyPair", "Tenants"]


@dataclass(frozen=True)
class KeyPair:
    """What one client signs with.

    Attributes:
        token: the security token that must accompany it; only temporary (STS) pairs have one.
        expires_at: when a temporary pair ends.
        active: False for a pair that its owner has disabled.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    active: bool = True


@dataclass(frozen=True)
class Account:
    """A tenant: pipelines, buckets and queues belong to one account in one region. `keys[0]` is its permanent pair."""

    id: str
    keys: list[KeyPair] = field(default_factory=list, repr=False)

    @property
    def key(self) -> KeyPair:
        """The permanent pair that the account was made with."""
        return self.keys[0]


class Tenants:
    """Every account of the simulator. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._owners: dict[str, tuple[Account, KeyPair]] = {}
        self._lock = Lock()

    def add_account(
        self, account_id: str | None = None, *, access_key_id: str | None = None, access_key_secret: str | None = None
    ) -> Account:
        """A new account with one permanent key pair; what is not given is drawn at random.

        Args:
            account_id: decimal digits, as the vendor's.

        Raises:
            ValueError: the id is taken or is not made of digits, or the key id is taken.
        """
        account_id = account_id or str(10**15 + secrets.randbelow(9 * 10**15))
        if not account_id.isdecimal():
            raise ValueError(f"account_id: {account_id!r} is not made of digits")
        with self._lock:
            if account_id in self._accounts:
                raise ValueError(f"account_id: {account_id} exists already")
            account = Account(account_id)
            self._add(account, KeyPair(access_key_id or _key_id("LTAI"), access_key_secret or _secret()))
            self._accounts[account_id] = account
        return account

    def add_key(self, account: Account, *, active: bool = True) -> KeyPair:
        """One more permanent pair."""
        pair = KeyPair(_key_id("LTAI"), _secret(), active=active)
        with self._lock:
            self._add(account, pair)
        return pair

    def add_temporary_key(self, account: Account, *, expires_in_s: float = 3600.0) -> KeyPair:
        """A temporary pair with a token, as Security Token Service gives it; it ends by the simulator's clock."""
        expires_at = self._clock.now() + timedelta(seconds=expires_in_s)
        pair = KeyPair(_key_id("STS."), _secret(), secrets.token_urlsafe(96), expires_at)
        with self._lock:
            self._add(account, pair)
        return pair

    def find(self, access_key_id: str) -> tuple[Account, KeyPair] | None:
        """The owner of a key id and the pair itself; None when nobody has it."""
        with self._lock:
            return self._owners.get(access_key_id)

    def accounts(self) -> list[Account]:
        """All of them, in the order in which they came."""
        with self._lock:
            return list(self._accounts.values())

    def is_expired(self, pair: KeyPair) -> bool:
        """Whether a temporary pair has ended."""
        return pair.expires_at is not None and self._clock.now() >= pair.expires_at

    def _add(self, account: Account, pair: KeyPair) -> None:
        if pair.access_key_id in self._owners:
            raise ValueError(f"access_key_id: {pair.access_key_id} exists already")
        account.keys.append(pair)
        self._owners[pair.access_key_id] = account, pair


def _key_id(prefix: str) -> str:
    return prefix + secrets.token_hex(10)


def _secret() -> str:
    return secrets.token_urlsafe(22)
