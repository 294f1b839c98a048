"""A database of 256 MiB that does not compress: memory does not depend on its size."""
import os
import shutil

import etcd
from case import SharedMember


class LargeDatabase(SharedMember):
    fill_bytes = 256 << 20

    # Well under the database, and far above what is needed: tests/bench measures exactly.
    PEAK_RSS_KIB = 48 << 10

    def check(self, compression, extension):
        agent = self.agent()
        agent.snapshots["compression"] = compression
        result = agent.run()
        archive = self.assertCreated(result, agent, extension)
        self.assertGreater(os.path.getsize(archive), self.fill_bytes)
        self.assertGreater(result.peak_rss_kib, 1024, "the memory was not measured")
        self.assertLess(result.peak_rss_kib, self.PEAK_RSS_KIB)
        taken = self.extract(archive, self.path("taken"))
        status = etcd.snapshot_status(self.shared.programs, taken)
        self.assertEqual(status["revision"], 1 + 1 + 256)
        self.assertGreater(status["totalSize"], self.fill_bytes)
        shutil.rmtree(agent.directory)

    def test_zip(self):
        self.check("zip", ".zip")

    def test_zstd(self):
        self.check("zstd", ".zst")

    def test_none(self):
        self.check("none", "")
