"""Hashes and secrets."""

import re
from collections.abc import Callable

import pytest

from muru.errors import Invalid
from muru.services import passwords


async def test_hash_is_argon2() -> None:
    """A password is kept as an argon2id hash with a salt of its own, and fits that hash only."""
    first, second = [await passwords.hash_password("correct horse") for _ in range(2)]

    assert first.startswith("$argon2id$")
    assert first != second
    assert await passwords.verify_password(first, "correct horse")
    assert not await passwords.verify_password(first, "correct horsf")


@pytest.mark.parametrize("hashed", [None, "", "plain text", "$argon2id$v=19$broken"])
async def test_no_password_fits_what_is_no_hash(hashed: str | None) -> None:
    """An account that does not exist, or whose hash is damaged, lets nobody in."""
    assert not await passwords.verify_password(hashed, "a guess")
    assert not await passwords.verify_password(hashed, "")


@pytest.mark.parametrize(
    ("password", "strong"), [("", False), ("1234567", False), ("12345678", True)]
)
def test_short_password_is_refused(password: str, strong: bool) -> None:
    """A login password has eight characters or more."""
    if strong:
        passwords.check_strength(password)
        return
    with pytest.raises(Invalid) as refusal:
        passwords.check_strength(password)
    assert list(refusal.value.fields) == ["password"]


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (passwords.sip_password, r"[a-hj-km-np-z2-9]{20}"),
        (passwords.login_password, r"[a-hj-km-np-z2-9]{16}"),
        (passwords.dial_token, r"[0-9]{12}"),
    ],
)
def test_secrets_can_be_typed_and_never_repeat(make: Callable[[], str], form: str) -> None:
    """What is made for people to type has no look-alikes, and is another one each time."""
    made = [make() for _ in range(1000)]

    assert all(re.fullmatch(form, secret) for secret in made)
    assert len(set(made)) == 1000


def test_token_is_not_its_digest() -> None:
    """From what is kept of a token nobody can tell the token."""
    secret, digest = passwords.new_token()

    assert len(secret) >= 43  # 256 bits
    assert passwords.digest(secret) == digest
    assert secret not in digest


def test_any_header_has_a_digest() -> None:
    """Bytes of a header that are no UTF-8 make a wrong token, not an error."""
    hostile = b"\xff\xfe".decode(errors="surrogateescape")

    assert passwords.digest(hostile) != passwords.new_token()[1]
