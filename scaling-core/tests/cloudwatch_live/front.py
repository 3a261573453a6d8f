"""moto behind the protocol that the AWS SDK for Rust speaks to CloudWatch, Smithy's RPC v2 over CBOR, which moto does not answer itself:
each request is read, sent on to moto by boto3, and the answer written back. Says where it listens on standard error. A file may be named
with a list of calls of `put_metric_data` that are made first, in JSON."""

import gzip
import json
import re
import struct
import sys
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

BREAK = object()


def read(data, at=0):
    first, at = data[at], at + 1
    major, info = first >> 5, first & 31
    if major == 7:
        if info == 31:
            return BREAK, at
        if info in (25, 26, 27):
            size = {25: 2, 26: 4, 27: 8}[info]
            return struct.unpack({2: ">e", 4: ">f", 8: ">d"}[size], data[at : at + size])[0], at + size
        return {20: False, 21: True}.get(info), at
    length = info
    if 24 <= info <= 27:
        size = 1 << (info - 24)
        length, at = int.from_bytes(data[at : at + size], "big"), at + size
    if major == 0:
        return length, at
    if major == 1:
        return -1 - length, at
    if major in (2, 3):
        raw, at = data[at : at + length], at + length
        return (raw if major == 2 else raw.decode()), at
    if major == 6:
        seconds, at = read(data, at)
        return datetime.fromtimestamp(seconds, timezone.utc), at
    items = []
    while info == 31 or len(items) < length * (major - 3):
        item, at = read(data, at)
        if item is BREAK:
            break
        items.append(item)
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at


def head(major, length):
    return bytes([major << 5 | 27]) + length.to_bytes(8, "big")


def write(value):
    if isinstance(value, bool) or value is None:
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, datetime):
        return b"\xc1" + write(value.timestamp())
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(write(key) + write(item) for key, item in value.items())
    return head(4, len(value)) + b"".join(write(item) for item in value)


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        operation = self.path.rsplit("/", 1)[-1]
        method = re.sub("(?<!^)(?=[A-Z])", "_", operation).lower()
        try:
            answer = getattr(moto, method)(**(read(body)[0] if body else {}))
            answer.pop("ResponseMetadata", None)
            status = 200
        except ClientError as error:
            answer = {"__type": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}
            status = 400
        body = write(answer)
        self.send_response(status)
        self.send_header("smithy-protocol", "rpc-v2-cbor")
        self.send_header("content-type", "application/cbor")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


behind = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
behind.start()
host, port = behind.get_host_and_port()
keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "eu-central-1"}
moto = boto3.client("cloudwatch", endpoint_url=f"http://{host}:{port}", **keys)
for call in json.load(open(sys.argv[1])) if len(sys.argv) > 1 else []:
    moto.put_metric_data(**call)
front = ThreadingHTTPServer(("127.0.0.1", 0), Front)
print(f"Running on http://127.0.0.1:{front.server_port}", file=sys.stderr, flush=True)
front.serve_forever()
