"""Runs that are interrupted, meet another run, or are watched while they write."""
import json
import os
import signal
import socket
import stat

import clocks
from case import SharedMember, content
from proxy import Proxy


class SlowStream(SharedMember):
    """The stream of 12 MiB takes some seconds."""

    fill_bytes = 12 << 20
    rate = 4 << 20

    def slow_agent(self, rate=None):
        proxy = Proxy(self.shared.port, bytes_per_s=rate or self.rate)
        self.addCleanup(proxy.stop)
        return self.agent(proxy.endpoint())

    def fast(self, agent):
        agent.etcd["endpoints"] = self.shared.endpoint


class Interrupted(SlowStream):
    def stopped_by(self, signum):
        agent = self.slow_agent()
        before = self.old_snapshots(agent)
        run = self.started(agent)
        self.partial(agent)
        run.signal(signum)
        result = run.wait(10)
        self.assertUntouched(agent, before)
        self.assertEqual(result.created, [])
        self.assertLess(result.seconds, 8)
        return agent, result

    def test_sigterm_leaves_nothing_at_once(self):
        _, result = self.stopped_by(signal.SIGTERM)
        self.assertExit(result, 143)
        self.assertTrue(result.lines, "it said nothing")

    def test_sigint_leaves_nothing_at_once(self):
        _, result = self.stopped_by(signal.SIGINT)
        self.assertExit(result, 143)

    def test_after_sigterm_the_next_run_is_a_good_one(self):
        agent, _ = self.stopped_by(signal.SIGTERM)
        self.fast(agent)
        self.assertCreated(agent.run(), agent)

    def test_sigterm_while_it_waits_for_the_next_attempt(self):
        agent = self.agent("http://127.0.0.1:9")
        agent.etcd.update(retries=5, retry_interval_s=30)
        before = self.old_snapshots(agent)
        run = self.started(agent)
        while "Backup failed" not in run.text(1):
            self.assertIsNone(run.process.poll(), run.text(1))
        run.signal(signal.SIGTERM)
        result = run.wait(10)
        self.assertExit(result, 143)
        self.assertUntouched(agent, before)

    def test_sigkill_leaves_nothing_after_the_next_run(self):
        agent = self.slow_agent()
        before = self.old_snapshots(agent)
        run = self.started(agent)
        self.partial(agent)
        run.signal(signal.SIGKILL)
        run.wait(10)
        left = content(agent.directory)
        self.assertEqual({name: left.get(name) for name in before}, before)
        self.fast(agent)
        agent.policy = agent.policy.replace("24", "1000000")  # hours: so that nothing is pruned
        result = agent.run()
        archive = self.assertCreated(result, agent)
        after = content(agent.directory)
        self.assertEqual(set(after), set(before) | {os.path.basename(archive)})
        self.assertEqual({name: after.get(name) for name in before}, before)

    def test_sigkill_again_and_again(self):
        agent = self.slow_agent()
        before = self.old_snapshots(agent)
        for _ in range(3):
            run = self.started(agent)
            self.partial(agent)
            run.signal(signal.SIGKILL)
            run.wait(10)
        self.fast(agent)
        agent.policy = agent.policy.replace("24", "1000000")
        result = agent.run()
        archive = self.assertCreated(result, agent)
        self.assertEqual(set(content(agent.directory)), set(before) | {os.path.basename(archive)})

    def test_a_run_sweeps_its_own_leftovers_and_nobody_elses(self):
        agent = self.agent()
        agent.policy = agent.policy.replace("24", "1000000")
        before = self.old_snapshots(agent)
        others = (".hidden", ".etcd-snapshot", "2018-05-04T18:40:16Z_etcd.zip.partial", ".other.zip.partial",
                  ".2018-05-04T18:40:16Z_etcd.zip.partial")
        for name in (*others, ".etcd-snapshot.2018-05-04T18:40:17Z_etcd.zip.partial"):
            self.write(os.path.join(agent.directory, name), "half a snapshot")
        result = agent.run()
        archive = self.assertCreated_beside(result, agent)
        self.assertEqual(set(content(agent.directory)), set(before) | set(others) | {os.path.basename(archive)})

    def assertCreated_beside(self, result, agent):
        """As assertCreated, where somebody else's partial files may lie about."""
        self.assertExit(result, 0)
        return os.path.join(agent.directory, result.created[0] + ".zip")

    def test_a_state_file_that_is_garbage_costs_no_snapshot(self):
        agent = self.agent()
        self.assertCreated(agent.run(env=clocks.at("-5m")), agent)
        for name in os.listdir(agent.runtime):
            self.write(os.path.join(agent.runtime, name), "}{\0garbage")
        result = agent.run()
        self.assertExit(result, 74)  # whether the clock was set ahead is not known: nothing is pruned
        self.assertEqual(len(result.created), 1, str(result))
        self.assertCreated(agent.run(env=clocks.at("+5s")), agent)

    def test_a_closed_standard_error_costs_no_snapshot(self):
        agent = self.agent()
        agent.write()
        pid = os.spawnve(os.P_WAIT, "/bin/sh",
                         ["sh", "-c", 'exec "$@" 2>&- >&-', "sh", *agent.command("run")], agent.environment)
        self.assertEqual(pid, 0)
        self.assertEqual(len(self.snapshots_in(agent)), 1)


class TwoRuns(SlowStream):
    def test_the_second_run_says_so_and_leaves_the_first_alone(self):
        agent = self.slow_agent()
        first = self.started(agent)
        partial = self.partial(agent)
        for command in (("run",), ("save",), ("save", "--name", "by-hand")):
            with self.subTest(command):
                second = agent.run(*command, timeout_s=10)
                self.assertExit(second, 75)
                self.assertSays(second, str(first.process.pid))
        self.assertTrue(os.path.exists(partial), "the first run's file is gone")
        self.assertCreated(first.wait(), agent)
        self.assertEqual(len(self.snapshots_in(agent)), 1)

    def test_looking_is_allowed_meanwhile(self):
        agent = self.slow_agent()
        first = self.started(agent)
        self.partial(agent)
        listed = agent.run("list", "--json", timeout_s=10)
        self.assertExit(listed, 0)
        self.assertEqual(json.loads(listed.stdout), [])
        self.assertExit(agent.run("prune", "--dry-run", timeout_s=10), 0, 75)
        self.assertCreated(first.wait(), agent)

    def test_another_runtime_directory_does_not_sweep_a_living_file(self):
        agent = self.slow_agent()
        first = self.started(agent)
        partial = self.partial(agent)
        other = self.path("other-run")
        os.mkdir(other)
        second = agent.run("save", "--name", "other", env={"RUNTIME_DIRECTORY": other})
        self.assertExit(second, 0)
        result = first.wait()
        self.assertCreated(result, agent)
        self.assertFalse(os.path.exists(partial))


class Modes(SlowStream):
    def test_private_from_the_first_moment(self):
        """Polled while the stream is slow, under an open umask."""
        agent = self.slow_agent()
        run = self.started(agent, umask=0)
        seen = {}
        while run.process.poll() is None:
            try:
                seen.setdefault(".", set()).add(stat.S_IMODE(os.stat(agent.directory).st_mode))
                for entry in os.scandir(agent.directory):
                    kind = "partial" if entry.name.endswith(".partial") else "rest"
                    seen.setdefault(kind, set()).add(stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode))
            except FileNotFoundError:
                continue
        self.assertCreated(run.wait(), agent)
        self.assertEqual(seen["."], {0o700})
        self.assertEqual(seen["partial"], {0o600})
        self.assertLessEqual(seen.get("rest", set()), {0o600})
        final = {stat.S_IMODE(mode) for mode, _ in content(agent.directory).values()}
        self.assertEqual(final, {0o600})
        for name in os.listdir(agent.runtime):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(agent.runtime, name)).st_mode) & 0o022, 0, name)

    def test_every_file_is_private_in_every_format(self):
        for compression in ("zip", "zstd", "none"):
            agent = self.agent()
            agent.snapshots["compression"] = compression
            result = agent.run("save", "--name", compression, umask=0)
            self.assertExit(result, 0)
        self.assertEqual({stat.S_IMODE(mode) for mode, _ in content(agent.directory).values()}, {0o600})


class ServiceManager(SlowStream):
    def test_the_status_line_says_what_it_does(self):
        path = self.path("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(0.2)
            agent = self.slow_agent()
            run = self.started(agent, env={"NOTIFY_SOCKET": path})
            told = []
            while run.process.poll() is None:
                try:
                    told.append(manager.recv(4096).decode())
                except TimeoutError:
                    pass
            self.assertCreated(run.wait(), agent)
        statuses = [line for text in told for line in text.splitlines() if line.startswith("STATUS=")]
        self.assertGreaterEqual(len(set(statuses)), 2, told)
