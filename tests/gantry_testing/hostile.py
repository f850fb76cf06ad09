# SPDX-License-Identifier: MIT
"""Servers with TLS of their own making: a certificate authority, a thread for each connection."""

import contextlib
import http.server
import pathlib
import ssl
import subprocess
import tempfile
import threading


class Authority:
    """A certificate authority in a temporary directory, which the end of the block removes; file is
    what a client trusts."""

    def __enter__(self):
        self._made = tempfile.TemporaryDirectory(prefix="gantry-ca-")
        self.folder = pathlib.Path(self._made.name)
        self.folder.chmod(0o755)
        self.file = self.folder / "ca.pem"
        self._openssl(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            "/CN=test authority",
            "-days",
            "2",
        )
        self.file.chmod(0o644)
        return self

    def __exit__(self, *_):
        self._made.cleanup()

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def context(self, *names):
        """A server's context with a certificate for these names."""
        stem = names[0]
        (self.folder / f"{stem}.ext").write_text(
            "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)
        )
        self._openssl(
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            f"{stem}.key",
            "-out",
            f"{stem}.csr",
            "-subj",
            f"/CN={stem}"[:60],
        )
        self._openssl(
            "x509",
            "-req",
            "-in",
            f"{stem}.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-out",
            f"{stem}.pem",
            "-days",
            "2",
            "-extfile",
            f"{stem}.ext",
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        return context


class TlsServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    context = None

    def finish_request(self, request, client_address):
        # In the connection's thread: a client that never shakes hands stops nobody.
        try:
            wrapped = self.context.wrap_socket(request, server_side=True)
        except (OSError, ssl.SSLError):
            return
        try:
            super().finish_request(wrapped, client_address)
        finally:
            with contextlib.suppress(OSError):
                wrapped.close()

    def handle_error(self, request, client_address):
        pass  # clients hang up in these tests


@contextlib.contextmanager
def serving(context, handler):
    """The port of a server that runs until the end of the block."""
    server = TlsServer(("127.0.0.1", 0), handler)
    server.context = context
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
