"""An S3 server on loopback with one bucket: a real protocol and pyarrow's real client, so that no store is made up."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from tune_mlp.results.storage import ObjectStore

KEY, SECRET = "the-key", "the-secret-of-tests"


class Bucket:
    """A bucket on a server of its own; it keeps its files while the server is stopped."""

    def __init__(self) -> None:
        self._port = 0
        self.start()
        self.client().create_bucket(Bucket="runs")

    def start(self) -> None:
        from moto.server import ThreadedMotoServer  # a second to import

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        self._server.start()
        _, self._port = self._server.get_host_and_port()

    def stop(self) -> None:
        self._server.stop()

    @contextlib.contextmanager
    def started_again(self) -> Iterator[None]:
        """Whoever stopped it in between."""
        try:
            yield
        finally:
            self.start()

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self._port}",
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def uri(self, prefix: str, bucket: str = "runs", port: int | None = None) -> str:
        """With its keys, as workers of a Ray that runs already have no others."""
        options = f"endpoint_override=127.0.0.1:{port or self._port}&scheme=http&region=us-east-1"
        return f"s3://{KEY}:{SECRET}@{bucket}/{prefix}?{options}"

    def store(self, prefix: str) -> ObjectStore:
        return ObjectStore(self.uri(prefix))

    def files(self, prefix: str) -> dict[str, bytes]:
        """Return all files below a path, by their names relative to it; an empty one marks a folder."""
        client = self.client()
        found = client.list_objects_v2(Bucket="runs", Prefix=f"{prefix}/").get("Contents", [])
        files = {}
        for item in found:
            with contextlib.suppress(client.exceptions.NoSuchKey):  # it has just gone
                files[item["Key"]] = client.get_object(Bucket="runs", Key=item["Key"])["Body"].read()
        return {key.removeprefix(f"{prefix}/"): content for key, content in files.items() if content}

    def copy(self, prefix: str, to: str) -> None:
        for name, content in self.files(prefix).items():
            self.client().put_object(Bucket="runs", Key=f"{to}/{name}", Body=content)

    def deny(self, bucket: str) -> None:
        """Make a bucket that nobody may write to."""
        client = self.client()
        client.create_bucket(Bucket=bucket)
        rule = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [rule]}))
