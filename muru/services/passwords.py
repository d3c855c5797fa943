"""Hashes of login passwords (argon2), and every secret that muru makes."""

import asyncio
import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from muru.errors import Invalid

# Typed on a phone's keypad, read out at a help desk: no capitals, nothing that looks alike.
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"
_SHORTEST = 8

_hasher = PasswordHasher()
_hashing = ThreadPoolExecutor(2, "argon2")  # it takes 64 MiB and a core each time


def check_strength(password: str) -> None:
    """Refuse a login password that is too short.

    Raises:
        Invalid: with the field ``password``.
    """
    if not _SHORTEST <= len(password) <= 1000:
        fault = f"use {_SHORTEST} characters or more"
        raise Invalid("This password is too short.", {"password": fault})


async def hash_password(password: str) -> str:
    """Return the argon2 hash of *password*, computed off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_hashing, _hasher.hash, password)


async def verify_password(password_hash: str | None, password: str) -> bool:
    """Tell whether *password* fits; None stands for an account that does not exist."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_hashing, _verify, password_hash, password)


@cache
def _nobody() -> str:
    """Return a hash that fits no password: logins to accounts that do not exist take as long."""
    return _hasher.hash(secrets.token_hex())


def _verify(password_hash: str | None, password: str) -> bool:
    try:
        return _hasher.verify(password_hash or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False


def readable(length: int) -> str:
    """Return a random string of small letters and digits, 4.95 bits each."""
    return "".join(secrets.choice(_READABLE) for _ in range(length))


def sip_password() -> str:
    """Return the password of a SIP account: 99 bits."""
    return readable(20)


def login_password() -> str:
    """Return a first password for an account that somebody else creates: 79 bits."""
    return readable(16)


def dial_token() -> str:
    """Return 12 random digits: the proof of ownership that a phone can dial."""
    return "".join(secrets.choice("0123456789") for _ in range(12))


def device_token() -> str:
    """Return the secret part of a device's URL: 128 bits."""
    return readable(26)


def temporary_account() -> str:
    """Return the user name of a phone that nobody owns yet: 15 digits, unlike any extension."""
    return "000" + "".join(secrets.choice("0123456789") for _ in range(12))


def new_token() -> tuple[str, str]:
    """Return the secret of a login, and the digest of it under which it is kept."""
    secret = secrets.token_urlsafe(32)
    return secret, digest(secret)


def digest(secret: str) -> str:
    """Return the SHA-256 of a token in hex. Its 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()  # headers may hold any byte
