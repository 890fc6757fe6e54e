"""
Certificates for tests: a small authority of the test's own, made with the openssl program.
"""

import os
import ssl
import subprocess

_EXTENSIONS = """
[ca]
basicConstraints=critical,CA:true
keyUsage=critical,keyCertSign,cRLSign
[host]
basicConstraints=critical,CA:false
subjectAltName={names}
"""


class Authority:
    """
    Signs certificates that live in `folder`. `ca` is the file clients trust. A certificate is one PEM file:
    chain, then key. `name` tells two authorities apart.
    """

    def __init__(self, folder, name="test"):
        self.folder, self.name, self._serial = folder, name, 0
        os.makedirs(folder, exist_ok=True)
        self.ca, self._key = self._path("ca.pem"), self._path("ca.key")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", self._key, "-out", self.ca, "-days", "30", "-subj", f"/CN={name} authority",
                      "-extensions", "ca", "-config", self._config("DNS:unused"))

    def _path(self, file):
        return os.path.join(self.folder, f"{self.name}-{file}")

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(f"openssl {arguments[0]}: {done.stderr.decode()}")
        return done.stdout

    def _config(self, names):
        path = self._path("openssl.cnf")
        with open(path, "w") as file:
            file.write("[req]\ndistinguished_name=dn\n[dn]\n" + _EXTENSIONS.format(names=names))
        return path

    def issue(self, *names, file=None, days=30, rsa=False):
        """A new certificate and key for these host names, in `file` (replaced at once) or a file of its own; returns its path."""
        self._serial += 1
        path = file or self._path(f"{self._serial}.pem")
        request, key, fresh = self._path("request.pem"), path + ".key-new", path + ".new"
        config = self._config(",".join(f"DNS:{name}" for name in names))
        kind = ("rsa:2048",) if rsa else ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        self._openssl("req", "-newkey", *kind, "-nodes", "-keyout", key,
                      "-out", request, "-subj", f"/CN={names[0]}", "-config", config)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-out", fresh,
                      "-set_serial", str(self._serial + 1), "-days", str(days), "-extfile", config, "-extensions", "host")
        with open(fresh, "ab") as out, open(key, "rb") as more:
            out.write(more.read())
        os.remove(key)
        os.replace(fresh, path)
        return path

    def fingerprint(self, path):
        """SHA-256 of the certificate in hexadecimal, lower case."""
        text = self._openssl("x509", "-in", path, "-noout", "-fingerprint", "-sha256").decode()
        return text.partition("=")[2].strip().replace(":", "").lower()

    def client(self, certificate=None):
        """An ssl.SSLContext that trusts this authority and nobody else; certificate: shown to the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca)
        if certificate:
            context.load_cert_chain(certificate)
        return context
