"""The certificate authority: what it issues is what a client and a classic balancer accept."""

import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.verification import PolicyBuilder, Store

from runbook.local.authority import LEAF_FILES, Authority

pytestmark = pytest.mark.pure

NAME = "registry.example.com"


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_leaf_verifies_against_the_authority(tmp_path):
    authority = Authority(tmp_path)
    leaf = load(authority.issue([NAME, "localhost"], ["127.20.2.1"]) / "cert.pem")
    store = Store([load(tmp_path / "ca.pem")])
    chain = PolicyBuilder().store(store).build_server_verifier(x509.DNSName(NAME)).verify(leaf, [])
    assert len(chain) == 2
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME, "localhost"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.20.2.1"]
    assert isinstance(leaf.public_key(), rsa.RSAPublicKey)


def test_the_folder_is_laid_out_as_certbot_does(tmp_path):
    folder = Authority(tmp_path).issue([NAME])
    assert folder == tmp_path / "live" / NAME
    assert sorted(each.name for each in folder.iterdir()) == sorted(LEAF_FILES)
    full = (folder / "fullchain.pem").read_text()
    assert full == (folder / "cert.pem").read_text() + (folder / "chain.pem").read_text()


def test_keys_are_for_their_owner_only(tmp_path):
    folder = Authority(tmp_path).issue([NAME])
    assert mode(tmp_path / "ca.key") == mode(folder / "privkey.pem") == 0o600
    assert mode(folder) == 0o700


def test_the_authority_and_a_fitting_certificate_are_kept(tmp_path):
    first = Authority(tmp_path).issue([NAME], ["127.20.2.1"])
    before = (tmp_path / "ca.pem").read_bytes(), (first / "cert.pem").read_bytes()
    second = Authority(tmp_path).issue([NAME], ["127.20.2.1"])
    assert before == ((tmp_path / "ca.pem").read_bytes(), (second / "cert.pem").read_bytes())


@pytest.mark.parametrize("change", [{"names": [NAME, "other.example.com"]}, {"ips": ["127.21.2.1"]}])
def test_another_name_makes_another_certificate(tmp_path, change):
    authority = Authority(tmp_path)
    before = (authority.issue([NAME], ["127.20.2.1"]) / "cert.pem").read_bytes()
    again = authority.issue(change.get("names", [NAME]), change.get("ips", ["127.20.2.1"]))
    assert (again / "cert.pem").read_bytes() != before


def test_a_certificate_near_its_end_is_replaced(tmp_path):
    authority = Authority(tmp_path)
    before = (authority.issue([NAME], days=29) / "cert.pem").read_bytes()
    assert (authority.issue([NAME]) / "cert.pem").read_bytes() != before


def test_another_authority_replaces_the_certificate(tmp_path):
    before = (Authority(tmp_path).issue([NAME]) / "cert.pem").read_bytes()
    (tmp_path / "ca.key").unlink()
    assert (Authority(tmp_path).issue([NAME]) / "cert.pem").read_bytes() != before
