"""The bucket in OpenStack Swift, whose s3api has nothing in common with Ceph's gateway."""
import unittest

import s3case
import swift
from case import SharedMember
from s3hosts import Host, old


class Swift(SharedMember):
    fill_bytes = 6 << 20  # two parts

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if reason := swift.possible():
            raise unittest.SkipTest(reason)
        cls.server = swift.Swift(cls.root + "/swift")
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()
        cls.api = cls.server.api()
        cls.api.create_bucket("bkt")

    def test_a_cycle_with_pruning_and_all_commands(self):
        host = Host(self.path("host"), self.shared.endpoint)
        host.policy = s3case.policy("bkt", self.server.endpoint, swift.LAB, folder="p1", retention="1")
        host.section("s3")["part_size_mib"] = 5
        others = {"p1/notes.txt", "p11/" + old(3), "p1/deeper/" + old(3)}
        for key in {"p1/" + old(2), "p1/" + old(3, "", ".zst")} | others:
            self.api.put("bkt", key, b"of old")
        result = host.cycle()
        self.assertExit(result, 0)
        self.assertEqual(len(result.named("Uploaded backup")), 1, str(result))
        new, = host.files
        self.assertEqual(set(self.api.keys_of("bkt")), {"p1/" + new} | others, str(result))
        self.assertTrue(self.api.get("bkt", "p1/" + new) == host.read(new))
        listed = host.run("list")
        self.assertExit(listed, 0)
        self.assertIn(new, listed.stdout)
        checked = host.run("check", "--write")
        self.assertExit(checked, 0)
        self.assertIn("an upload in two parts: sent, completed and read back", checked.stdout)
        self.assertExit(host.run("delete", new, "--s3", "--force"), 0)
        self.assertEqual(set(self.api.keys_of("bkt")), others)
        self.assertEqual(self.api.uploads("bkt"), [])
