"""A database of 1 GiB that does not compress goes to the bucket; memory does not depend on its size."""
import hashlib
import os

from s3hosts import MIB, BucketCase

PIECE = 64 * MIB


class LargeUpload(BucketCase):
    fill_bytes = 1024 * MIB

    # What the whole agent may take with four parts in flight.
    PEAK_RSS_KIB = 40 << 10

    def digest_there(self, bucket, key, size):
        digest = hashlib.sha256()
        for start in range(0, size, PIECE):
            piece = self.api.request("GET", bucket, key, headers={
                "range": f"bytes={start}-{min(size, start + PIECE) - 1}"}).body
            self.assertEqual(len(piece), min(PIECE, size - start))
            digest.update(piece)
        return digest.hexdigest()

    def test_a_gibibyte_over_tls(self):
        bucket = self.bucket()
        # Neither the time until the next cycle nor a busy server's slow handshake is what is looked at.
        host = self.host(bucket, folder="p1", interval="1")
        host.section("s3").update(concurrency=4, retries=5)
        result = host.cycle()
        self.assertExit(result, 0)
        self.assertEqual([line["name"] for line in result.named("Uploaded backup")], result.created)
        name, = host.files
        path = os.path.join(host.directory, name)
        size = os.path.getsize(path)
        self.assertGreater(size, self.fill_bytes)
        self.assertEqual(self.api.list(bucket), {"p1/" + name: size})
        self.assertRegex(self.api.head(bucket, "p1/" + name)["etag"], f'-{-(-size // (16 * MIB))}"$')
        with open(path, "rb") as file:
            self.assertEqual(self.digest_there(bucket, "p1/" + name, size),
                             hashlib.file_digest(file, "sha256").hexdigest())
        self.assertGreater(result.peak_rss_kib, 1024, "the memory was not measured")
        self.assertLess(result.peak_rss_kib, self.PEAK_RSS_KIB)
