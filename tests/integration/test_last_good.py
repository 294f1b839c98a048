"""The last good configuration: a mistake in a file costs no snapshot, deletes nothing and ends with 78."""
import os
import stat

from case import SharedMember, content

GOOD = "services:\n  etcd:\n    backup_config:\n      interval_hours: 1m\n      retention: 1m\n"
USED = "The configuration cannot be used, going on with the last good one"


class LastGood(SharedMember):
    def setUp(self):
        super().setUp()
        self.state = self.path("state")
        self.host = self.agent(policy=GOOD)
        # As the service has it.
        self.host.environment["STATE_DIRECTORY"] = self.state

    def good_cycle(self):
        result = self.host.run("run")
        self.assertExit(result, 0)
        return result

    def kept(self, name):
        with open(os.path.join(self.state, name)) as text:
            return text.read()

    def broken(self, text):
        """A cycle with this cluster.yml, and an old snapshot that would be deleted otherwise."""
        before = self.old_snapshots(self.host)
        self.host.policy = text
        result = self.host.run("run")
        self.assertAllThere(before)
        return result

    def assertAllThere(self, before):
        self.assertEqual(before, {name: kept for name, kept in content(self.host.directory).items()
                                  if name in before})

    def test_a_mistake_in_the_policy_costs_no_snapshot_and_deletes_nothing(self):
        self.good_cycle()
        self.assertEqual(stat.S_IMODE(os.stat(self.state).st_mode), 0o700)
        self.assertTrue(self.kept("cluster.yml").startswith(GOOD))
        for text, word in ((GOOD.replace("1m\n", "1x\n", 1), f"{self.host.cluster_file}:4:"),
                           ("services: [", self.host.cluster_file),
                           (GOOD.replace("      ret", "   ret"), f"{self.host.cluster_file}:5:"),
                           # Nothing of them is read.
                           ("", "nothing turns snapshots off"),
                           (GOOD.replace("services", "service"), f"{self.host.cluster_file}:1:1:")):
            result = self.broken(text)
            self.assertExit(result, 78)
            self.assertEqual(len(result.created), 1, str(result))
            first = result.lines[0]
            self.assertEqual((first["level"], first["msg"]), ("error", USED), str(result))
            self.assertIn(word, first["error"])
            self.assertTrue(first["hint"], str(result))
            self.assertEqual(len(result.messages("error")), 1, str(result))
            self.assertTrue(self.kept("cluster.yml").startswith(GOOD))
            status = self.host.run("status")
            self.assertEqual(status.code, 1, str(status))
            self.assertSays(status, "the last good configuration is used instead")
        self.host.policy = GOOD
        self.assertFalse(self.good_cycle().named(USED))
        self.assertExit(self.host.run("status"), 0)

    def test_a_mistake_in_the_hosts_settings_does_not_move_the_snapshots(self):
        self.good_cycle()
        before = self.old_snapshots(self.host)
        with open(self.host.conf_file, "a") as conf:
            conf.write("[snapshots]\ndirectroy = /nowhere\n")
        result = self.host.run("run", write=False)
        self.assertExit(result, 78)
        self.assertEqual(len(result.created), 1, str(result))
        self.assertAllThere(before)

    def test_a_file_that_cannot_be_read_is_not_one_that_does_not_exist(self):
        self.good_cycle()
        os.unlink(self.host.cluster_file)
        os.mkdir(self.host.cluster_file)
        result = self.host.run("run", write=False)
        self.assertExit(result, 78)
        self.assertEqual(len(result.created), 1, str(result))
        os.rmdir(self.host.cluster_file)
        gone = self.host.run("run", write=False)
        self.assertExit(gone, 78)
        self.assertEqual(gone.created, [], "no file turns snapshots off")

    def test_turning_snapshots_off_works(self):
        self.good_cycle()
        self.host.policy = GOOD + "      enabled: false\n"
        off = self.host.run("run")
        self.assertExit(off, 0)
        self.assertEqual(off.created, [])
        self.host.policy = GOOD + "     enabled: false\n"
        self.assertEqual(self.host.run("run").created, [], "off is what is known of it")

    def test_an_old_off_does_not_stand_in_for_a_file_that_says_nothing(self):
        self.host.policy = GOOD + "      enabled: false\n"
        self.assertExit(self.host.run("run"), 0)
        self.host.policy = GOOD.replace("      interval", "    interval").replace("      ret", "    ret")
        result = self.host.run("run")
        self.assertExit(result, 78)
        self.assertEqual(len(result.created), 1, str(result))

    def test_it_is_kept_where_the_snapshot_was_safe_and_something_else_failed(self):
        os.makedirs(self.host.runtime, exist_ok=True)
        self.write(os.path.join(self.host.runtime, "state.json"), "}{")
        self.assertExit(self.host.run("run"), 74)
        self.assertTrue(self.kept("cluster.yml").startswith(GOOD))

    def test_without_one_the_message_ends_with_what_takes_a_snapshot(self):
        result = self.broken("services: [")
        self.assertExit(result, 78)
        self.assertEqual(result.created, [])
        self.assertTrue(result.lines[0]["hint"].endswith(f"etcd-snapshot --config {self.host.conf_file} save"),
                        str(result))
        saved = self.host.run("save")
        self.assertExit(saved, 0)
        self.assertEqual(len(saved.created), 1)

    def test_a_damaged_one_is_ignored_with_a_word(self):
        self.good_cycle()
        path = os.path.join(self.state, "cluster.yml")
        os.truncate(path, os.stat(path).st_size // 2)
        result = self.broken("services: [")
        self.assertExit(result, 78)
        self.assertEqual(result.created, [])
        self.assertIn(f"the last good configuration is ignored: {path}: damaged", result.lines[0]["error"])

    def test_what_is_tried_by_hand_with_other_files_is_not_kept(self):
        del self.host.environment["STATE_DIRECTORY"]
        self.good_cycle()
        self.assertFalse(os.path.exists(self.state))

    def test_that_it_cannot_be_kept_costs_a_warning(self):
        with open(self.state, "w"):
            pass
        result = self.good_cycle()
        self.assertEqual(len(result.named("Couldn't keep the configuration for a cycle that cannot read it")), 1)

    def test_a_cycle_without_a_snapshot_leaves_the_mark_for_the_retry(self):
        mark = os.path.join(self.host.runtime, "unfinished")
        self.good_cycle()
        self.assertFalse(os.path.exists(mark))
        self.assertExit(self.broken(GOOD.replace("1m", "2x", 1)), 78)
        self.assertFalse(os.path.exists(mark), "it has its snapshot")
        self.host.policy = GOOD
        self.host.etcd["endpoints"] = "http://127.0.0.1:9"
        self.assertExit(self.host.run("run"), 69)
        self.assertTrue(os.path.exists(mark))
        self.host.policy = GOOD + "      enabled: false\n"
        self.assertExit(self.host.run("run"), 0)
        self.assertFalse(os.path.exists(mark), "nothing asks for snapshots")
