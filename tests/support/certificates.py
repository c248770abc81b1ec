"""An authority of a test's own, and what it issues; made by openssl."""

import subprocess
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Its certificate is `file`, in this folder."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "authority.pem"
        self._key = folder / "authority-key.pem"
        made = ["req", "-x509", *_KEY, "-subj", "/CN=an authority of the tests", "-days", "2"]
        _openssl([*made, "-keyout", str(self._key), "-out", str(self.file)])

    def issue(self, folder: Path, names: str, *, days: int = 1) -> tuple[Path, Path]:
        """certificate.pem and key.pem of these names, `DNS:…,IP:…`, in that folder; negative `days` have passed."""
        certificate, key, request, extension = (folder / name for name in ("certificate.pem", "key.pem", "r", "x"))
        extension.write_text(f"subjectAltName={names}\n")
        _openssl(["req", *_KEY, "-subj", "/CN=hvd", "-keyout", str(key), "-out", str(request)])
        signed = ["x509", "-req", "-in", str(request), "-CA", str(self.file), "-CAkey", str(self._key)]
        _openssl([*signed, "-CAcreateserial", "-days", str(days), "-extfile", str(extension), "-out", str(certificate)])
        return certificate, key


def _openssl(arguments: list[str]) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
