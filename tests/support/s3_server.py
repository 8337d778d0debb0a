"""As much of Amazon's S3 as a download needs, on this machine: list a folder, get a file."""

import http.server
import threading
import time
import urllib.parse
from contextlib import contextmanager

LISTING = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{bucket}</Name>
<Prefix>{prefix}</Prefix><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"""
ROW = """<Contents><Key>{key}</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified>
<ETag>"0"</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"""


class Bucket:
    """Objects by "bucket/key"; ``broken`` ones are cut off half-way; ``fetched`` logs the gets."""

    def __init__(self, objects):
        self.objects, self.broken, self.fetched, self.delay_s, self.url = objects, set(), [], 0, ""


@contextmanager
def serve(objects):
    """Serve ``{"bucket/folder/file": bytes}`` while the block runs; yields the :class:`Bucket`."""
    bucket = Bucket(objects)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.answer(self.body()[0], 0)

        def do_GET(self):
            body, key = self.body()
            if key:
                bucket.fetched.append(key)
                time.sleep(bucket.delay_s)
            if key in bucket.broken:
                self.answer(body, len(body) // 2)
                self.close_connection = True
            else:
                self.answer(body, len(body))

        def body(self):
            url = urllib.parse.urlsplit(self.path)
            key = urllib.parse.unquote(url.path).strip("/")
            if "/" in key:
                return bucket.objects.get(key), key
            prefix = urllib.parse.parse_qs(url.query).get("prefix", [""])[0]
            rows = "".join(
                ROW.format(key=name.partition("/")[2], size=len(content))
                for name, content in sorted(bucket.objects.items())
                if name.startswith(f"{key}/{prefix}")
            )
            return LISTING.format(bucket=key, prefix=prefix, rows=rows).encode(), ""

        def answer(self, body, count):
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
            self.end_headers()
            self.wfile.write((body or b"")[:count])

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
