"""The embedded cloud's certificate authority: it stands in for the one that a person buys certificates from."""

import datetime
import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEEP_WHEN_VALID_FOR = datetime.timedelta(days=30)
AUTHORITY_DAYS = 3650
LEAF_FILES = ("cert.pem", "chain.pem", "fullchain.pem", "privkey.pem")


class Leaf(NamedTuple):
    """A certificate, its private key (PKCS 8) and the chain to its authority, all PEM."""

    certificate: bytes
    key: bytes
    chain: bytes

    def __repr__(self) -> str:
        return "<certificate and key>"


class Authority:
    """An authority in `home`: ca.pem, which a client may trust, and its key, which only this class reads.

    The one found there is used again while it is valid for 30 days more, so that trust once given stays.
    """

    def __init__(self, home: Path, *, name: str = "Embedded cloud, certificate authority"):
        self._home, self._name = home, name
        self.path = home / "ca.pem"
        self._key_path = home / "ca.key"
        found = self._find()
        self._certificate, self._key = found or self._make()

    def issue(
        self, names: Iterable[str], ip_addresses: Iterable[str] = (), days: int = 90, *, anew: bool = False
    ) -> Path:
        """A certificate for these names, the first of which names the folder, laid out as certbot does.

        Returns home/live/NAME with cert.pem, chain.pem, fullchain.pem, privkey.pem (RSA 2048: a classic
        balancer takes no EC key). One that fits and is valid for 30 days more is kept, unless `anew`.
        """
        names = list(dict.fromkeys(names))
        addresses = [ipaddress.ip_address(each) for each in dict.fromkeys(ip_addresses)]
        folder = self._home / "live" / names[0].replace("*", "_")
        wanted = [x509.DNSName(name) for name in names] + [x509.IPAddress(each) for each in addresses]
        if anew or not self._fits(folder, wanted):
            self._write_leaf(folder, names[0], wanted, days)
        return folder

    def sign(self, names: Iterable[str], ip_addresses: Iterable[str] = (), days: int = 90) -> Leaf:
        """A certificate for these names that is kept nowhere."""
        names, addresses = list(names), [ipaddress.ip_address(each) for each in ip_addresses]
        return self._leaf(
            names[0], [x509.DNSName(name) for name in names] + [x509.IPAddress(each) for each in addresses], days
        )

    def _find(self):
        if not (self.path.exists() and self._key_path.exists()):
            return None
        certificate = x509.load_pem_x509_certificate(self.path.read_bytes())
        key = serialization.load_pem_private_key(self._key_path.read_bytes(), password=None)
        return (certificate, key) if _valid_long_enough(certificate) else None

    def _make(self):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._name)])
        certificate = (
            _builder(name, name, key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(self._key_path, _private(key))
        _write(self.path, _pem(certificate))
        return certificate, key

    def _fits(self, folder: Path, wanted: list[x509.GeneralName]) -> bool:
        if not all((folder / name).exists() for name in LEAF_FILES):
            return False
        leaf = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        same_authority = (folder / "chain.pem").read_bytes() == _pem(self._certificate)
        return same_authority and set(found) == set(wanted) and _valid_long_enough(leaf)

    def _write_leaf(self, folder: Path, name: str, wanted: list[x509.GeneralName], days: int) -> None:
        leaf = self._leaf(name, wanted, days)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        write_secret(folder / "privkey.pem", leaf.key)
        _write(folder / "cert.pem", leaf.certificate)
        _write(folder / "chain.pem", leaf.chain)
        _write(folder / "fullchain.pem", leaf.certificate + leaf.chain)

    def _leaf(self, name: str, wanted: list[x509.GeneralName], days: int) -> Leaf:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        # RFC 5280 lets a common name have 64 characters; clients look at the alternative names.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        public = key.public_key()
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._certificate.public_key())
        leaf = (
            _builder(subject, self._certificate.subject, public, days)
            .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Leaf(_pem(leaf), _private(key), _pem(self._certificate))


def _builder(subject, issuer, public_key, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(**given: bool) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
    )
    every += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: given.get(name, False) for name in every})


def _valid_long_enough(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC) >= KEEP_WHEN_VALID_FOR


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_secret(path: Path, content: bytes) -> None:
    _write(path, content, mode=0o600)


def _write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    draft.replace(path)
