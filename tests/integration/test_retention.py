"""Pruning on disk: exactly the expected files go, and when in doubt none."""
import os
import re
import time

import clocks
import etcd
import fakes
from agent import POLICY
from case import BYTES_OF_OTHERS, Case, EXPIRED, SharedMember, content, stamp


def names_in(listing):
    return {name for name in listing if not name.startswith(".")}


class ThousandNames(SharedMember):
    """A directory as years leave it behind."""

    def populate(self, directory):
        """Fills the directory; (names that must go, names that must stay)."""
        os.makedirs(directory, mode=0o700)
        go, stay = set(), set()
        for number in range(200):
            old, young = stamp(2 + number / 7), stamp(number / 400)
            safe = old.replace(":", "-")
            go |= {f"{old}_etcd.zip", f"{old[:-1]}+00:00_etcd"}
            stay |= {f"{young}_etcd.zip", f"rke_etcd_snapshot_{old}.zip", f"{safe}_other-host_etcd.zip"}
            if number % 4 == 0:
                go |= {f"{stamp(1000 + number)}_etcd.zst", f"{stamp(2000 + number).replace(':', '-')}_etcd.zip",
                       f"{stamp(3000 + number)[:-1]}+02:00_etcd.zip", f"{stamp(4000 + number)[:-1]}.123456789Z_etcd"}
                stay |= {f"{stamp(-1 - number)}_etcd.zip", f"{old}_etcd.zip.bak", f"{old}_etcd.ZIP",
                         f"copy of {old}_etcd.zip", f"{old}_etcd.zip~"}
        # One that was 24 h old by its local offset is young by UTC, and the other way round.
        stay.add(stamp(0.98 + 5 / 24)[:-1] + "-05:00_etcd.zip")  # written 5 h later than it reads
        go.add(stamp(1.02 - 5 / 24)[:-1] + "+05:00_etcd.zip")
        stay |= {"pki.bundle.tar.gz", "notes.txt", "etcd", "_etcd", "_etcd.zip", "before the upgrade.zip",
                 "2018-02-30T18:40:16Z_etcd.zip", "2018-13-01T18:40:16Z_etcd.zip", "2018-05-04_etcd.zip",
                 "2018-05-04T18:40:16_etcd.zip", "2018-05-04T18:40:16Z_etcd.tar.gz", "2018-05-04T18:40:16Z_etcd.",
                 "2018-05-04T18:40:16Z_etcd_old.zip", "2018-05-04T18:40:16Z_ETCD.zip", " 2018-05-04T18:40:16Z_etcd",
                 "x2018-05-04T18:40:16Z_etcd.zip", "2018-05-04T18:40:16Z_etcd.zip\n", "2018-05-04T24:40:16Z_etcd",
                 "rke_etcd_snapshot_before-upgrade", "c-x7d2k-rl-4nmgh_2018-05-04T18:40:16Z.zip", "läßt-sich-sehen"}
        for name in go | stay:
            self.write(os.path.join(directory, name), BYTES_OF_OTHERS)
        self.write(os.fsencode(directory) + b"/2018-05-04T18:40:16Z_etcd\xff.zip", BYTES_OF_OTHERS)
        stay.add(os.fsdecode(b"2018-05-04T18:40:16Z_etcd\xff.zip"))
        os.mkdir(os.path.join(directory, "2018-05-05T18:40:16Z_etcd.zip"))
        self.write(os.path.join(directory, "2018-05-05T18:40:16Z_etcd.zip", EXPIRED), BYTES_OF_OTHERS)
        target = self.write(self.path("precious"), BYTES_OF_OTHERS)
        os.symlink(target, os.path.join(directory, "2018-05-06T18:40:16Z_etcd.zip"))
        os.symlink(self.path("nowhere"), os.path.join(directory, "2018-05-07T18:40:16Z_etcd.zip"))
        os.mkfifo(os.path.join(directory, "2018-05-08T18:40:16Z_etcd.zip"))
        stay |= {f"2018-05-0{day}T18:40:16Z_etcd.zip" for day in (5, 6, 7, 8)}
        self.assertGreater(len(go) + len(stay), 1000)
        return go, stay

    def assertPruned(self, agent, before, go, stay):
        after = content(agent.directory)
        new = names_in(after) - names_in(before)
        self.assertEqual(names_in(before) - names_in(after), go)
        self.assertEqual({name: after[name] for name in stay}, {name: before[name] for name in stay})
        self.assertTrue(os.path.exists(self.path("precious")))
        return new

    def test_exactly_the_expired_ones_of_this_host_go(self):
        agent = self.agent()
        go, stay = self.populate(agent.directory)
        before = content(agent.directory)
        dry = agent.run("prune", "--dry-run")
        self.assertExit(dry, 0)
        self.assertEqual(content(agent.directory), before)
        result = agent.run()
        self.assertExit(result, 0)
        new = self.assertPruned(agent, before, go, stay)
        self.assertEqual(new, {result.created[0] + ".zip"})
        deleted = [line["name"] for line in result.named("Deleted local backup")]
        self.assertEqual(sorted(deleted), sorted(re.sub(r"\.(zip|zst)$", "", name) for name in go))

    def test_prune_by_hand_deletes_what_the_dry_run_says(self):
        agent = self.agent()
        self.assertCreated(agent.run(), agent)
        os.rename(agent.directory, self.path("aside"))
        go, stay = self.populate(agent.directory)
        for name in os.listdir(self.path("aside")):
            os.rename(self.path("aside", name), os.path.join(agent.directory, name))
        before = content(agent.directory)
        dry = agent.run("prune", "--dry-run")
        self.assertExit(dry, 0)
        self.assertEqual(content(agent.directory), before)
        for name in go:
            row = next((line for line in dry.stdout.splitlines() if name in line), None)
            self.assertIsNotNone(row, name)
            self.assertIn("older than the retention", row)
        self.assertExit(agent.run("prune"), 0)
        self.assertEqual(self.assertPruned(agent, before, go, stay), set())

    def test_prune_by_hand_without_anything_proven_deletes_nothing(self):
        agent = self.agent()
        before = self.old_snapshots(agent)
        result = agent.run("prune")
        self.assertNotIn(result.code, (64, 78), str(result))
        self.assertUntouched(agent, before)


class Rules(SharedMember):
    def test_a_retention_shorter_than_the_interval_keeps_the_newest(self):
        agent = self.agent(policy=POLICY.replace("1m", "12").replace("24", "6"))
        result = agent.run()
        first = self.assertCreated(result, agent)
        checked = agent.run("check")
        self.assertExit(checked, 0)
        self.assertSays(checked, "shorter than the interval")
        self.assertExit(agent.run("prune"), 0)
        self.assertTrue(os.path.exists(first))

    def test_retention_of_minutes(self):
        agent = self.agent(policy=POLICY.replace("24", "30m"))
        older, younger = stamp(40 / 1440) + "_etcd.zip", stamp(20 / 1440) + "_etcd.zip"
        self.old_snapshots(agent, (older, younger))
        self.assertCreated(agent.run(), agent)
        self.assertNotIn(older, os.listdir(agent.directory))
        self.assertIn(younger, os.listdir(agent.directory))

    def test_retention_counted_in_snapshots(self):
        agent = self.agent(policy=POLICY.replace("24", "3"))
        agent.snapshots["retention_unit"] = "snapshots"
        names = [stamp(days) + "_etcd.zip" for days in (1, 2, 3, 4)]
        self.old_snapshots(agent, names)
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertEqual(names_in(os.listdir(agent.directory)),
                         {"notes.txt", result.created[0] + ".zip", *names[:2]})

    def test_keep_last_keeps_proven_ones_beyond_the_retention(self):
        agent = self.agent(policy=POLICY.replace("24", "1m"))
        agent.snapshots["keep_last"] = 2
        created = []
        for days in ("-9d", "-6d", "-3d"):
            result = agent.run(env=clocks.at(days))
            created.append(self.assertCreated(result, agent))
            agent.runtime_reset()
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertEqual(self.snapshots_in(agent), sorted([os.path.basename(created[2]), result.created[0] + ".zip"]))

    def test_include_host_keeps_to_this_host(self):
        agent = self.agent()
        agent.snapshots["include_host"] = "yes"
        result = agent.run()
        self.assertCreated(result, agent)
        host = os.uname().nodename
        self.assertRegex(result.created[0], rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ_{re.escape(host)}_etcd$")
        mine, others = f"2018-05-04T18:40:16Z_{host}_etcd.zip", "2018-05-04T18:40:16Z_another_etcd.zip"
        self.old_snapshots(agent, (mine, others))
        self.assertExit(agent.run("prune"), 0)
        self.assertNotIn(mine, os.listdir(agent.directory))
        self.assertIn(others, os.listdir(agent.directory))

    def test_safe_timestamp(self):
        agent = self.agent(policy=POLICY + "      safe_timestamp: true\n")
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertRegex(result.created[0], r"^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ_etcd$")

    def test_one_time_snapshots_are_not_pruned_by_age(self):
        agent = self.agent()
        self.assertExit(agent.run("save", "--name", "before-upgrade", env=clocks.at("-400d")), 0)
        self.assertExit(agent.run("save", env=clocks.at("-300d")), 0)
        agent.runtime_reset()
        before = content(agent.directory)
        result = agent.run()
        self.assertCreated(result, agent)
        after = content(agent.directory)
        self.assertEqual({name: after.get(name) for name in before}, before)


class HistoryGuard(Case):
    def assertFrozen(self, result, agent, before):
        self.assertCreated(result, agent)
        self.assertTrue(result.messages("warning"), str(result))
        self.assertSays(result, "--accept-history")
        after = content(agent.directory)
        self.assertEqual({name: after.get(name) for name in before}, before)

    def assertAcceptedAndPruned(self, agent):
        """What the operator does then, and that the next cycle prunes again."""
        self.assertExit(agent.run("prune", "--accept-history"), 0)
        result = self.later(agent)
        self.assertExit(result, 0)
        self.assertFalse(result.says("--accept-history"), str(result))
        self.assertNotIn(EXPIRED, os.listdir(agent.directory))

    def later(self, agent):
        """A run with a name of its own: names have whole seconds."""
        time.sleep(1.1)
        return agent.run()

    def test_another_cluster_freezes_pruning_until_it_is_accepted(self):
        first, second = self.member(), etcd.Member(self.tmp, name="other")
        self.addCleanup(second.stop)
        second.start()
        second.fill(1 << 20, 64 << 10)  # its revision is ahead: only the cluster tells
        agent = self.agent(first.endpoint)
        self.assertCreated(agent.run(), agent)
        agent.etcd["endpoints"] = second.endpoint
        before = self.old_snapshots(agent)
        self.assertFrozen(self.later(agent), agent, before)
        self.assertFrozen(self.later(agent), agent, before)  # still
        dry = agent.run("prune", "--dry-run")
        self.assertExit(dry, 0)
        self.assertSays(dry, "frozen")
        self.assertExit(agent.run("prune"), 0, 1, 65, 69, 74)
        self.assertUntouchedNames(agent, before)
        self.assertAcceptedAndPruned(agent)

    def assertUntouchedNames(self, agent, before):
        after = content(agent.directory)
        self.assertEqual({name: after.get(name) for name in before}, before)

    def test_a_revision_that_went_back_freezes_pruning_until_it_is_accepted(self):
        server = fakes.FaultServer()
        self.addCleanup(server.stop)
        agent = self.agent(server.endpoint)
        server.revision = 5000
        self.assertCreated(agent.run(), agent)
        before = self.old_snapshots(agent)
        server.revision = 4000
        self.assertFrozen(self.later(agent), agent, before)
        server.revision = 4100
        self.assertFrozen(self.later(agent), agent, before)
        self.assertAcceptedAndPruned(agent)

    def test_a_damaged_note_of_what_was_accepted_freezes_too(self):
        server = fakes.FaultServer()
        self.addCleanup(server.stop)
        agent = self.agent(server.endpoint)
        before = self.old_snapshots(agent)
        self.write(os.path.join(agent.directory, ".etcd-snapshot.history"), "garbage")
        result = agent.run()
        self.assertEqual(len(result.created), 1, str(result))
        self.assertExit(result, 74)
        self.assertSays(result, "--accept-history")
        self.assertUntouchedNames(agent, before)
        self.assertAcceptedAndPruned(agent)

    def test_another_member_of_the_cluster_with_the_same_history_is_fine(self):
        server = fakes.FaultServer()
        self.addCleanup(server.stop)
        agent = self.agent(server.endpoint)
        self.assertCreated(agent.run(), agent)
        self.old_snapshots(agent)
        server.member_id = 0xD00D
        result = self.later(agent)
        self.assertCreated(result, agent)
        self.assertEqual(result.messages("warning"), [])
        self.assertNotIn(EXPIRED, os.listdir(agent.directory))


class WrongClocks(SharedMember):
    def test_a_clock_that_jumped_back_loses_nothing(self):
        agent = self.agent()
        first = self.assertCreated(agent.run(), agent)
        before = content(agent.directory)
        result = agent.run(env=clocks.at("-30d"))
        second = self.assertCreated(result, agent)
        after = content(agent.directory)
        self.assertEqual({name: after.get(name) for name in before}, before)
        self.assertLess(os.path.basename(second), os.path.basename(first))

    def test_a_clock_that_jumped_ahead_loses_nothing(self):
        agent = self.agent()
        for minutes in (50, 30):
            self.assertCreated(agent.run(env=clocks.at(f"-{minutes}m")), agent)
        self.assertCreated(agent.run(), agent)
        before = content(agent.directory)
        self.assertEqual(len(before), 3)
        result = agent.run(env=clocks.at("+400d"))
        self.assertCreated(result, agent)
        self.assertTrue(result.messages("warning"), str(result))
        after = content(agent.directory)
        self.assertEqual({name: after.get(name) for name in before}, before)

    def test_after_the_clock_was_set_right_the_future_ones_stay_and_new_ones_come(self):
        agent = self.agent()
        ahead = self.assertCreated(agent.run(env=clocks.at("+400d")), agent)
        agent.runtime_reset()
        self.old_snapshots(agent)
        result = agent.run()
        archive = self.assertCreated(result, agent)
        self.assertTrue(os.path.exists(ahead))
        self.assertTrue(os.path.exists(archive))
        self.assertNotIn(EXPIRED, os.listdir(agent.directory))

    def test_a_clock_before_the_certificates_and_everything(self):
        agent = self.agent()
        result = agent.run(env=clocks.at("1970-01-02 00:00:00"))
        self.assertCreated(result, agent)
        self.assertEqual(result.created, ["1970-01-02T00:00:00Z_etcd"])
