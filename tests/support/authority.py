"""A certificate authority of the tests, by the openssl program: keys, certificates, signatures."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

_DAYS = "2"


@dataclasses.dataclass(frozen=True)
class Certificate:
    """PEM files."""

    certificate: Path
    key: Path


@dataclasses.dataclass(frozen=True)
class Authority(Certificate):
    """Makes certificates in its directory."""

    directory: Path

    @classmethod
    def make(cls, directory: Path) -> Authority:
        directory.mkdir(parents=True, exist_ok=True)
        made = cls(directory / "ca.crt", directory / "ca.key", directory)
        extensions = ["-addext", "keyUsage=critical,keyCertSign,digitalSignature"]
        _request(made, ["-x509", "-days", _DAYS, "-subj", "/CN=authority of the tests", *extensions])
        return made

    def issue(self, name: str, *, client: bool = False) -> Certificate:
        """For 127.0.0.1, localhost and r.invalid, which no name server has; or for a client."""
        made = Certificate(self.directory / f"{name}.cert", self.directory / f"{name}.key")
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        usage = "clientAuth" if client else "serverAuth"
        extensions.write_text(
            f"subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:r.invalid\nextendedKeyUsage={usage}\n"
        )
        _request(Certificate(request, made.key), ["-subj", f"/CN={name}"])
        signer = ["-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-extfile", extensions]
        _openssl("x509", "-req", "-in", request, "-days", _DAYS, "-out", made.certificate, *signer)
        return made


def sign(key: Path, content: bytes) -> bytes:
    """RSASSA-PKCS1-v1_5 with SHA-256: RS256 of JSON Web Tokens."""
    return _openssl("dgst", "-sha256", "-sign", key, "-binary", content=content)


def der(certificate: Path) -> bytes:
    return _openssl("x509", "-in", certificate, "-outform", "DER")


def _request(made: Certificate, options: list[str]) -> None:
    _openssl(
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-noenc",
        "-keyout",
        made.key,
        "-out",
        made.certificate,
        *options,
    )


def _openssl(*arguments: str | Path, content: bytes = b"") -> bytes:
    argv = ["openssl", *map(str, arguments)]
    done = subprocess.run(argv, input=content, capture_output=True, check=True, timeout=60)
    return done.stdout
