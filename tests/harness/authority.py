"""
Certificates for tests: a small authority of the test's own, made with the openssl program.
"""

import hashlib
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


def _kind(rsa):
    return ("-newkey", "rsa:2048") if rsa else ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def _write(path, data):
    with open(path, "wb") as file:
        file.write(data)


class Authority:
    """
    Signs certificates that live in `folder`. `ca` is the file clients trust. A certificate is one PEM file:
    chain, then key. `name` tells two authorities apart. issuer: the authority that vouches for this one, which
    is an intermediate then: its own certificate, `certificate`, is in the chains of those it signs.
    """

    def __init__(self, folder, name="test", issuer=None):
        self.folder, self.name, self._serial = folder, name, 0
        os.makedirs(folder, exist_ok=True)
        self.certificate, self._key = self._path("ca.pem"), self._path("ca.key")
        self.ca = issuer.ca if issuer else self.certificate
        self._chain = [self.certificate, *issuer._chain] if issuer else []
        request = self._path("ca-request.pem")
        self._openssl("req", *(() if issuer else ("-x509", "-days", "30", "-extensions", "ca")), *_kind(False), "-nodes",
                      "-keyout", self._key, "-out", request if issuer else self.certificate, "-subj", f"/CN={name} authority",
                      "-config", self._config("DNS:unused"))
        if issuer:
            issuer._sign(request, self.certificate, "ca", "DNS:unused", 30)

    def _path(self, file):
        return os.path.join(self.folder, f"{self.name}-{file}")

    def _openssl(self, *arguments, given=b""):
        done = subprocess.run(["openssl", *arguments], input=given, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(f"openssl {arguments[0]}: {done.stderr.decode()}")
        return done.stdout

    def _config(self, names):
        path = self._path("openssl.cnf")
        with open(path, "w") as file:
            file.write("[req]\ndistinguished_name=dn\n[dn]\n" + _EXTENSIONS.format(names=names))
        return path

    def _sign(self, request, path, extensions, names, days):
        self._serial += 1
        self._openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-out", path,
                      "-set_serial", str(self._serial + 1), "-days", str(days), "-extfile", self._config(names),
                      "-extensions", extensions)

    def issue(self, *names, file=None, days=30, rsa=False, key_of=None, with_ca=False):
        """
        A new certificate and key for these host names, in `file` (replaced at once) or a file of its own; returns
        its path. days=-1: it has expired. key_of: another certificate of ours whose key it keeps. with_ca: the
        chain ends with the root, as DANE-TA needs it when its record is of the root.
        """
        path = file or self._path(f"{self._serial + 1}.pem")
        request, key, fresh = self._path("request.pem"), path + ".key-new", path + ".new"
        text = ",".join(f"DNS:{name}" for name in names)
        if key_of:
            _write(key, self._openssl("pkey", "-in", key_of))
        self._openssl("req", *(("-new", "-key", key) if key_of else (*_kind(rsa), "-nodes", "-keyout", key)),
                      "-out", request, "-subj", f"/CN={names[0]}", "-config", self._config(text))
        self._sign(request, fresh, "host", text, days)
        with open(fresh, "ab") as out:
            for more in [*self._chain, *([self.ca] if with_ca else []), key]:
                with open(more, "rb") as part:
                    out.write(part.read())
        os.remove(key)
        os.replace(fresh, path)
        return path

    def self_signed(self, *names, days=30):
        """A certificate that nobody vouches for, and its key."""
        self._serial += 1
        path = self._path(f"{self._serial}.pem")
        text = ",".join(f"DNS:{name}" for name in names)
        key = self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        _write(path, key)
        _write(path, self._openssl("req", "-x509", "-new", "-key", path, "-days", str(days), "-subj", f"/CN={names[0]}",
                                   "-extensions", "host", "-config", self._config(text)) + key)
        return path

    def fingerprint(self, path):
        """SHA-256 of the certificate in hexadecimal, lower case."""
        text = self._openssl("x509", "-in", path, "-noout", "-fingerprint", "-sha256").decode()
        return text.partition("=")[2].strip().replace(":", "").lower()

    def association(self, path, usage, selector, matching):
        """The TLSA record that names this certificate (usage 1, 3) or its authority's (0, 2)."""
        source = path if usage in (1, 3) else self.certificate
        if selector == 1:
            key = self._openssl("x509", "-in", source, "-noout", "-pubkey")
            data = self._openssl("pkey", "-pubin", "-outform", "DER", given=key)
        else:
            data = self._openssl("x509", "-in", source, "-outform", "DER")
        digest = {1: hashlib.sha256, 2: hashlib.sha512}.get(matching)
        return usage, selector, matching, (digest(data).digest() if digest else data).hex()

    def client(self, certificate=None):
        """An ssl.SSLContext that trusts this authority and nobody else; certificate: shown to the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca)
        if certificate:
            context.load_cert_chain(certificate)
        return context
