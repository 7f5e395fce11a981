"""Secrets: the key that makes hashes of inputs unguessable and wraps the data keys, and the pair that signs heads.

A master key is 32 random bytes, kept as 64 hexadecimal digits in a file that only its owner may read, or in the
variable XAIKIT_AUDIT_KEY. From it come, by HMAC-SHA-256, one key for hashes and one for wrapping, so that neither is
used for both. Each record has a data key of its own: without it the record's private part cannot be read by anyone, and
so deleting it erases that part while the chain stays whole.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xaikit.errors import MissingPackage, StorageError, UsageError

VARIABLE = "XAIKIT_AUDIT_KEY"
ALGORITHM = "AES-256-GCM"
BYTES, NONCE = 32, 12


@dataclass(frozen=True)
class Key:
    """A master key. `id` names it without telling it."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Sixteen digits that tell one key from another."""
        return self._derived("name").hex()[:16]

    def hash(self, digest: str) -> str:
        """Give HMAC-SHA-256 of a SHA-256 given in hexadecimal digits: it says nothing to whom the key is unknown."""
        return hmac.new(self._derived("input hash"), bytes.fromhex(digest), hashlib.sha256).hexdigest()

    def encrypt(self, data: bytes, bound: str) -> tuple[bytes, bytes]:
        """Encrypt with a new data key, and give (what is encrypted, the wrapped data key), both bound to a text."""
        own = secrets.token_bytes(BYTES)
        return _encrypted(own, data, bound), _encrypted(self._derived("wrapping"), own, bound)

    def decrypt(self, encrypted: bytes, wrapped: bytes, bound: str) -> bytes:
        """Undo `encrypt`. Raises StorageError for another key, and for what was changed."""
        return _decrypted(_decrypted(self._derived("wrapping"), wrapped, bound), encrypted, bound)

    def _derived(self, purpose: str) -> bytes:
        return hmac.new(self.secret, b"xaikit audit: " + purpose.encode(), hashlib.sha256).digest()


def key_of(source: Any) -> Key | None:
    """Give the key in a file, or that of the environment where no file is named; None where there is none.

    Raises StorageError for a file that is missing or holds no key.
    """
    if source is None:
        return _parsed(os.environ[VARIABLE], f"the variable {VARIABLE}") if os.environ.get(VARIABLE) else None
    if isinstance(source, Key):
        return source
    return _parsed(_text(Path(source)), f"the key file {source}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StorageError(f"there is no key file {path}: `xaikit audit new-key {path}` makes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"the key file {path} cannot be read: {getattr(error, 'strerror', error)}") from None


def _parsed(text: str, where: str) -> Key:
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        secret = b""
    if len(secret) != BYTES:
        raise StorageError(f"{where} holds no key: {2 * BYTES} hexadecimal digits are expected")
    return Key(secret)


def new_key(path: str | os.PathLike[str]) -> Key:
    """Make a master key in a new file that only its owner may read, and give it. Raises StorageError."""
    key = Key(secrets.token_bytes(BYTES))
    _written(Path(path), (key.secret.hex() + "\n").encode(), 0o600)
    return key


def new_signing_key(path: str | os.PathLike[str]) -> Path:
    """Make an Ed25519 pair, the private key in a new file and the public one beside it as .pub, whose path it gives.

    Raises UsageError where one of the two is there already, and StorageError where they cannot be written.
    """
    with _cryptography("a signature"):
        from cryptography.hazmat.primitives import serialization as forms
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    secret = private.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    public = private.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    beside = Path(f"{path}.pub")
    for each in (Path(path), beside):
        if each.exists():
            raise _kept(each)
    _written(Path(path), secret, 0o600)
    _written(beside, public, 0o644)
    return beside


def _written(path: Path, data: bytes, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    except FileExistsError:
        raise _kept(path) from None
    except OSError as error:
        raise StorageError(f"the key cannot be written to {path}: {error.strerror}") from None


def _kept(path: Path) -> UsageError:
    return UsageError(f"{path} is there already: a key is never overwritten")


def signature(path: str | os.PathLike[str], text: str) -> Mapping[str, str]:
    """Sign a text with the Ed25519 key in a file: the signature and the public key, in hexadecimal digits."""
    with _cryptography("a signature"):
        from cryptography.hazmat.primitives import serialization as forms
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = _loaded(path, lambda data: forms.load_pem_private_key(data, None), Ed25519PrivateKey)
    public = private.public_key().public_bytes(forms.Encoding.Raw, forms.PublicFormat.Raw)
    return {"signature": private.sign(text.encode()).hex(), "public_key": public.hex()}


def is_signed(path: str | os.PathLike[str], text: str, signed: Any) -> bool:
    """Whether a signature in hexadecimal digits is that of a text, by the public key in a file."""
    with _cryptography("a signature"):
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import serialization as forms
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = _loaded(path, forms.load_pem_public_key, Ed25519PublicKey)
    try:
        public.verify(bytes.fromhex(signed), text.encode())
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _loaded(path: str | os.PathLike[str], load: Any, kind: type) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    text = _text(Path(path))
    try:
        found = load(text.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, kind):
        raise StorageError(
            f"{path} holds no {kind.__name__} in PEM: `xaikit audit new-key FILE --signing` makes a pair"
        )
    return found


@contextmanager
def _cryptography(purpose: str) -> Iterator[None]:
    """Say what to install where the package that signs and encrypts is not there."""
    try:
        yield
    except ModuleNotFoundError:
        raise MissingPackage("cryptography", "audit", purpose) from None


def _cipher(key: bytes) -> Any:
    with _cryptography("an encrypted input"):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _encrypted(key: bytes, data: bytes, bound: str) -> bytes:
    nonce = secrets.token_bytes(NONCE)
    return bytes(nonce + _cipher(key).encrypt(nonce, data, bound.encode()))


def _decrypted(key: bytes, data: bytes, bound: str) -> bytes:
    with _cryptography("an encrypted input"):
        from cryptography.exceptions import InvalidTag

    try:
        return bytes(_cipher(key).decrypt(data[:NONCE], data[NONCE:], bound.encode()))
    except (InvalidTag, ValueError):
        raise StorageError("it cannot be decrypted: the key is another one, or it was changed") from None
