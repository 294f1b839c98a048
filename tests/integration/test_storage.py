"""The snapshot directory: missing, wrong, read-only, elsewhere, full before and during the stream."""
import os
import stat
import time
import unittest

import clocks
import dirs
import fakes
from case import EXPIRED, SharedMember, content, wait_until
from proxy import Proxy


class Directories(SharedMember):
    def failing(self, agent, *texts):
        result = agent.run()
        self.assertExit(result, 74)
        self.assertEqual(result.created, [])
        for text in texts:
            self.assertSays(result, text)
        return result

    def test_a_missing_directory_is_made_private(self):
        agent = self.agent()
        agent.snapshots["directory"] = agent.directory = self.path("opt", "rke", "snapshots")
        self.assertCreated(agent.run(umask=0), agent)
        self.assertEqual(stat.S_IMODE(os.stat(agent.directory).st_mode), 0o700)

    def test_an_existing_directory_keeps_its_mode_and_check_mentions_it(self):
        agent = self.agent()
        os.mkdir(agent.directory)
        os.chmod(agent.directory, 0o755)
        result = agent.run()
        archive = self.assertCreated(result, agent)
        self.assertEqual(stat.S_IMODE(os.stat(archive).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(agent.directory).st_mode), 0o755)
        self.assertSays(agent.run("check"), "chmod 0700 " + agent.directory)

    def test_a_file_instead_of_a_directory(self):
        agent = self.agent()
        self.write(agent.directory, "a file")
        self.failing(agent, agent.directory, "directory")
        with open(agent.directory) as untouched:
            self.assertEqual(untouched.read(), "a file")

    def test_a_file_above_the_directory(self):
        agent = self.agent()
        agent.snapshots["directory"] = os.path.join(self.write(self.path("file"), "x"), "snapshots")
        self.failing(agent, self.path("file"))

    def test_a_dangling_link(self):
        agent = self.agent()
        os.symlink(self.path("not-mounted"), agent.directory)
        self.failing(agent, agent.directory)
        self.assertFalse(os.path.exists(self.path("not-mounted")), "made what a mount would cover")

    def test_a_link_to_a_directory(self):
        agent = self.agent()
        os.mkdir(self.path("real"), 0o700)
        os.symlink(self.path("real"), agent.directory)
        self.assertCreated(agent.run(), agent)
        self.assertEqual(len(os.listdir(self.path("real"))), 1)
        self.assertTrue(os.path.islink(agent.directory))

    def test_the_clock_shows_the_same_second_again(self):
        """Two runs in one second: the second may not overwrite the first."""
        agent = self.agent()
        fixed = clocks.at("2031-05-04 18:40:16")
        self.assertCreated(agent.run(env=fixed), agent)
        first = content(agent.directory)
        result = agent.run(env=fixed)
        after = content(agent.directory)
        self.assertEqual({name: after.get(name) for name in first}, first)
        if result.code == 0:
            self.assertEqual(len(after), 2, str(result))
        else:
            self.assertExit(result, 74)
            self.assertSays(result, next(iter(first)).removesuffix(".zip"))
            self.assertEqual(after, first)


class SmallDisks(SharedMember):
    """Needs mount; the database has 6 MiB that do not compress."""

    fill_bytes = 6 << 20

    @classmethod
    def setUpClass(cls):
        if reason := dirs.possible():
            raise unittest.SkipTest(reason)
        super().setUpClass()

    def disk(self, agent, size_mib):
        disk = dirs.SmallDisk(agent.directory, size_mib)
        self.addCleanup(disk.unmount)
        return disk

    def test_read_only(self):
        agent = self.agent()
        disk = self.disk(agent, 32)
        before = self.old_snapshots(agent)
        disk.read_only()
        result = agent.run()
        self.assertExit(result, 74)
        self.assertSays(result, "read-only")
        self.assertUntouched(agent, before)

    def test_below_a_read_only_mount_point(self):
        """As the service sees it where the file system that holds the directory is not mounted."""
        agent = self.agent()
        disk = dirs.SmallDisk(self.path("disk"), 32)
        self.addCleanup(disk.unmount)
        disk.read_only()
        agent.snapshots["directory"] = os.path.join(disk.path, "snapshots")
        result = agent.run()
        self.assertExit(result, 74)
        self.assertSays(result, "look whether it is mounted")
        self.assertSays(result, "install -d -m 0700 " + agent.snapshots["directory"])

    def test_a_link_to_another_file_system(self):
        agent = self.agent()
        disk = dirs.SmallDisk(self.path("disk"), 32)
        self.addCleanup(disk.unmount)
        os.symlink(disk.path, agent.directory)
        self.assertCreated(agent.run(), agent)
        self.assertEqual(len(os.listdir(disk.path)), 1)

    def test_full_before_the_stream(self):
        agent = self.agent()
        disk = self.disk(agent, 32)
        self.assertCreated(agent.run(), agent)
        disk.fill(leave_bytes=2 << 20)
        before = content(agent.directory)
        began = time.monotonic()
        result = agent.run()
        self.assertExit(result, 74)
        self.assertSays(result, agent.directory)
        self.assertLess(time.monotonic() - began, 10)
        self.assertUntouched(agent, before)

    def test_full_to_the_last_byte(self):
        agent = self.agent()
        disk = self.disk(agent, 32)
        before = self.old_snapshots(agent)
        disk.fill()
        before = content(agent.directory)
        result = agent.run()
        self.assertExit(result, 74)
        self.assertUntouched(agent, before)

    def test_filled_by_others_during_the_stream(self):
        proxy = Proxy(self.shared.port, bytes_per_s=2 << 20)
        self.addCleanup(proxy.stop)
        agent = self.agent(proxy.endpoint())
        disk = self.disk(agent, 64)
        old = self.old_snapshots(agent)
        run = self.started(agent)
        self.partial(agent)
        filler = disk.fill()
        result = run.wait()
        self.assertExit(result, 74)
        os.unlink(filler)
        self.assertUntouched(agent, old)

    def test_more_comes_than_was_announced(self):
        """The member says 32 KiB, and 24 MiB come: the disk is never filled up."""
        server = fakes.FaultServer(fakes.database(48 << 10))
        server.database_size = 32 << 10
        self.addCleanup(server.stop)

        def liar(stream):
            stream.headers()
            for start in range(0, len(server.database), 32 << 10):
                stream.data(fakes.snapshot_message(server.database[start:start + (32 << 10)], 0))
            stream.data(fakes.snapshot_message(fakes.digest(server.database), 0))
            stream.trailers()
        server.handlers[fakes.SNAPSHOT] = liar
        agent = self.agent(server.endpoint)
        disk = self.disk(agent, 16)
        before = self.old_snapshots(agent)
        run = self.started(agent)
        lowest = disk.free_bytes()
        while run.process.poll() is None:
            lowest = min(lowest, disk.free_bytes())
        result = run.wait()
        self.assertExit(result, 65, 69, 74)
        self.assertGreater(lowest, 256 << 10, "the reserve was used up")
        self.assertUntouched(agent, before)

    def test_expired_snapshots_make_room(self):
        agent = self.agent()
        disk = self.disk(agent, 32)
        self.assertCreated(agent.run(), agent)
        disk.fill(leave_bytes=4 << 20, name=EXPIRED)  # the expired one takes the room
        wait_until(lambda: disk.free_bytes() < 5 << 20, "a full disk")
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertFalse(os.path.exists(os.path.join(agent.directory, EXPIRED)))
        self.assertEqual([line["name"] for line in result.named("Deleted local backup")], [EXPIRED.removesuffix(".zip")])
        self.assertEqual(len(self.snapshots_in(agent)), 2)

    def test_a_failed_deletion_does_not_stop_the_rest(self):
        agent = self.agent()
        names = [f"2018-05-{day:02}T18:40:16Z_etcd.zip" for day in range(1, 6)]
        self.old_snapshots(agent, names)
        pinned = dirs.Pinned(os.path.join(agent.directory, names[2]))
        self.addCleanup(pinned.release)
        result = agent.run()
        self.assertExit(result, 74)
        self.assertEqual(len(result.created), 1, str(result))
        self.assertSays(result, names[2].removesuffix(".zip"), "error")
        self.assertEqual([name for name in names if name in os.listdir(agent.directory)], [names[2]])

    def test_without_anything_proven_no_room_is_made(self):
        agent = self.agent()
        disk = self.disk(agent, 32)
        disk.fill(leave_bytes=4 << 20, name=EXPIRED)
        before = content(agent.directory)
        result = agent.run()
        self.assertExit(result, 74)
        self.assertUntouched(agent, before)
