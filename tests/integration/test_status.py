"""status: what a monitoring system is told, in the states that a host can be in."""
import fcntl
import json
import os
import shutil

import clocks
from agent import POLICY
from case import SharedMember, content
from s3hosts import BucketCase

OK, WARNING, CRITICAL, UNKNOWN = range(4)
WORDS = ("OK: ", "WARNING: ", "CRITICAL: ", "UNKNOWN: ")


class StatusCase(SharedMember):
    def assertStatus(self, agent, code, *texts, args=(), **options):
        """The code, its word at the beginning, and the texts; the same with --json, which comes back."""
        shown = agent.run("status", *args, **options)
        self.assertEqual(shown.code, code, str(shown))
        self.assertTrue(shown.stdout.startswith(WORDS[code]), str(shown))
        self.assertEqual(shown.stderr, "", str(shown))
        for text in texts:
            self.assertIn(text, shown.stdout)
        # Whatever is not well comes with what to do.
        self.assertEqual("-> " in shown.stdout, code != OK, str(shown))
        told = agent.run("status", "--json", *args, **options)
        self.assertEqual((told.code, told.stderr), (code, ""), str(told))
        found = json.loads(told.stdout)
        self.assertEqual((found["exit_code"], found["status"].upper() + ": "), (code, WORDS[code]))
        self.assertEqual(bool(found["reasons"]), code != OK)
        return found


    def forget_clock(self, agent):
        """Under a clock that runs ahead it is later now; not that somebody set it."""
        path = os.path.join(agent.runtime, "state.json")
        with open(path) as file:
            state = json.load(file)
        del state["clock_offset_s"]
        self.write(path, json.dumps(state))


class Status(StatusCase):
    def test_a_host_that_is_well(self):
        agent = self.agent()
        self.assertCreated(agent.run(), agent)
        name, = self.snapshots_in(agent)
        before = content(agent.directory), content(agent.runtime)
        found = self.assertStatus(agent, OK, "newest       " + name, "one is due every 1m", "room for ")
        self.assertEqual((found["newest"]["file"], found["newest"]["where"]), (name, ["local"]))
        self.assertEqual(found["newest"]["size_bytes"], os.path.getsize(os.path.join(agent.directory, name)))
        self.assertEqual(found["last_run"]["snapshot"] + ".zip", name)
        self.assertEqual((content(agent.directory), content(agent.runtime)), before)

    def test_it_is_a_matter_of_age(self):
        agent = self.agent()
        for policy, ages in ((POLICY, {"+2m": OK, "+4m": WARNING, "+6m": CRITICAL}),
                             (POLICY.replace("1m", "12"), {"+12h": OK, "+14h": WARNING, "+38h": CRITICAL})):
            agent.policy = policy
            if not os.path.isdir(agent.directory):
                self.assertCreated(agent.run(), agent)
                self.forget_clock(agent)
            for later, code in ages.items():
                with self.subTest(policy=policy, later=later):
                    self.assertStatus(agent, code, env=clocks.at(later))
        self.assertStatus(agent, CRITICAL, "more than 30m", args=("--max-age", "30m"), env=clocks.at("+31m"))
        self.assertStatus(agent, OK, args=("--max-age", "72"), env=clocks.at("+71h"))
        self.assertStatus(agent, UNKNOWN, "--max-age", args=("--max-age", "5x"))

    def test_a_clock_that_was_set_ahead_since_the_last_cycle(self):
        agent = self.agent()
        agent.policy = POLICY.replace("1m", "12")
        self.assertCreated(agent.run(), agent)
        self.assertStatus(agent, OK, env=clocks.at("+59m"))
        found = self.assertStatus(agent, WARNING, "set ahead", "timedatectl", env=clocks.at("+2h"))
        self.assertEqual([reason["code"] for reason in found["reasons"]], ["clock"])

    def test_no_snapshot(self):
        agent = self.agent()
        self.assertStatus(agent, CRITICAL, "does not exist")
        os.mkdir(agent.directory, 0o700)
        self.assertStatus(agent, CRITICAL, "no proven snapshot in " + agent.directory)
        self.old_snapshots(agent)
        self.assertStatus(agent, CRITICAL, "(2 there that this agent has not proven)")

    def test_a_cycle_that_failed(self):
        agent = self.agent()
        self.assertCreated(agent.run(), agent)
        agent.etcd["endpoints"] = "http://127.0.0.1:9"
        self.assertExit(agent.run(), 69)
        found = self.assertStatus(agent, WARNING, "status 69, etcd did not answer or refused")
        self.assertEqual([reason["code"] for reason in found["reasons"]], ["last_run"])

    def test_while_another_run_has_the_lock(self):
        agent = self.agent()
        self.assertCreated(agent.run(), agent)
        with open(os.path.join(agent.runtime, "lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertStatus(agent, OK)

    def test_a_configuration_that_is_broken(self):
        agent = self.agent()
        self.assertCreated(agent.run(), agent)
        name, = self.snapshots_in(agent)
        agent.policy = POLICY.replace("1m", "1x")
        self.assertStatus(agent, UNKNOWN, "cluster.yml:4:", name)
        self.assertStatus(agent, CRITICAL, "cluster.yml:4:", "one was due every 1m", env=clocks.at("+6m"))
        agent.etcd["no_such_key"] = "x"
        self.assertStatus(agent, UNKNOWN, "no_such_key", "here         not known")

    def test_what_cannot_be_read(self):
        agent = self.agent()
        self.write(agent.directory, "a file")
        self.assertStatus(agent, UNKNOWN, agent.directory + " is not a directory")

    def test_turned_off_or_never_on(self):
        agent = self.agent()
        self.assertCreated(agent.run(), agent)
        agent.policy = POLICY + "      enabled: false\n"
        self.assertStatus(agent, OK, "recurring snapshots are turned off", env=clocks.at("+9d"))
        self.assertStatus(agent, CRITICAL, args=("--max-age", "24"), env=clocks.at("+9d"))
        agent.policy = "services: {}\n"
        self.assertStatus(agent, WARNING, "services.etcd: no backup_config")


class Bucket(BucketCase, StatusCase):
    def test_what_the_bucket_lacks(self):
        bucket = self.bucket()
        host = self.host(bucket, folder="p1")
        made = [self.assertUploaded(host.cycle(), host, bucket, "p1/") for _ in range(3)]
        found = self.assertStatus(host, OK, "here and in the bucket", "3 snapshots in https://")
        self.assertEqual(found["newest"]["where"], ["local", "bucket"])
        self.api.delete(bucket, "p1/" + made[0])
        self.assertEqual(self.assertStatus(host, OK)["bucket"]["missing"], 1)
        host.ahead_s += 240
        self.assertStatus(host, WARNING, "the bucket lacks 1 snapshot")

    def test_a_bucket_that_is_down(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather)
        name = self.assertUploaded(host.cycle(), host, bucket)
        weather.down()
        found = self.assertStatus(host, WARNING, "the bucket could not be asked", "newest       " + name)
        self.assertIsNotNone(found["bucket"]["error"])
        weather.up()

    def test_a_host_that_lost_its_disk(self):
        bucket = self.bucket()
        host = self.host(bucket)
        made = [self.assertUploaded(host.cycle(), host, bucket) for _ in range(2)]
        shutil.rmtree(host.directory)
        found = self.assertStatus(host, WARNING, "does not exist", made[1], "in the bucket only")
        self.assertEqual(found["newest"]["where"], ["bucket"])
