"""What a process must do to be a Tenon backend, whatever it computes: the handshake of hashicorp/go-plugin, mutual TLS, health, the end."""

import base64
import datetime
import os
import sys
import tempfile
import threading
import time
from concurrent import futures

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

COOKIE = ("TENON_BACKEND", "tenon.backend.v1")
VERSION = "1"  # of the contract
MAX_MESSAGE = 256 << 20


class Plumbing(grpc.GenericRpcHandler):
    """The two services beside the backend's own. Their messages are so small that their bytes are written here."""

    def __init__(self):
        self.stop = threading.Event()

    def service(self, call):
        if call.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x08\x01")  # status: SERVING
        if call.method == "/plugin.GRPCController/Shutdown":
            return grpc.unary_unary_rpc_method_handler(self.shutdown)
        return None

    def shutdown(self, request, context):
        self.stop.set()
        return b""


def certificate():
    """A key and a self-signed certificate for localhost, for this process alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, made


def watch_parent():
    """Ends the process when its host is gone: an orphan would keep its memory for ever."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def serve(register):
    """Serves until the host says stop. register adds the backend to a grpc.Server."""
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        sys.exit("this is a Tenon backend, which tenon starts: see tenon backend test --help")
    if VERSION not in os.environ.get("PLUGIN_PROTOCOL_VERSIONS", "").split(","):
        sys.exit(f"this backend speaks version {VERSION} of the contract, and its host does not")
    client = os.environ.get("PLUGIN_CLIENT_CERT", "").encode()
    if not client:
        sys.exit("the host gave no certificate")
    threading.Thread(target=watch_parent, daemon=True).start()

    plumbing = Plumbing()
    server = grpc.server(
        futures.ThreadPoolExecutor(16),
        handlers=[plumbing],
        options=[("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)],
    )
    register(server)
    key, cert = certificate()
    credentials = grpc.ssl_server_credentials(
        [(key, cert.public_bytes(serialization.Encoding.PEM))], root_certificates=client, require_client_auth=True
    )
    # The host made this directory, which nobody else can enter, and removes it.
    path = os.path.join(tempfile.mkdtemp(dir=os.environ.get("PLUGIN_UNIX_SOCKET_DIR")), "s")
    server.add_secure_port("unix:" + path, credentials)
    server.start()
    der = base64.b64encode(cert.public_bytes(serialization.Encoding.DER)).decode().rstrip("=")
    print(f"1|{VERSION}|unix|{path}|grpc|{der}", flush=True)
    plumbing.stop.wait()
    server.stop(grace=1).wait()
