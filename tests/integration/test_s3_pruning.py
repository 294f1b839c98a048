"""Pruning the bucket by the same policy: exactly the expected objects go. What other hosts, folders and
people have there stays as it is."""
import json
import os
import re

import fakes
import s3_faults
from agent import stamp
from case import EXPIRED
from s3hosts import HOST, BucketCase, old


class Pruning(BucketCase):
    def test_exactly_the_expired_ones_of_this_host_and_folder_go(self):
        go = {old(2), old(2.5)[:-4], old(3, extension=".zst"), old(4, HOST), old(5).replace(":", "-"), EXPIRED,
              "2019-05-04T18:40:16+02:00_etcd", "2020-05-04T18:40:16.123456789Z_etcd"}
        stay = {old(0.5), old(0.6, HOST), old(-1), old(9, "other-host"), f"rke_etcd_snapshot_{stamp(9)}.zip",
                "by hand.zip", "notes.txt", "pki.bundle.tar.gz", "etcd", old(8) + ".bak", "copy of " + old(8),
                old(8).replace("_etcd", "_ETCD"), "2018-02-30T18:40:16Z_etcd.zip", old(8) + "\n", "läßt sich sehen"}
        beside = {folder + name for folder in ("", "p11/", "p1-old/", "p1/deeper/", "p1//", "P1/", "q/p1/")
                  for name in (EXPIRED, old(2))}
        bucket = self.bucket()
        beside |= {"p1/", "p1"}  # as consoles make folders
        self.put_all(bucket, {"p1/" + name for name in go | stay} | beside)
        host = self.host(bucket, folder="p1")
        result = host.cycle()
        new = self.assertUploaded(result, host, bucket, "p1/")
        self.assertEqual(set(self.api.keys_of(bucket)), {"p1/" + name for name in stay | {new}} | beside)
        self.assertEqual({self.api.get(bucket, key) for key in beside}, {b"of old"})
        self.assertEqual(sorted(line["name"] for line in result.named("Deleted remote backup")),
                         sorted(re.sub(r"\.(zip|zst)$", "", name) for name in go))

    def test_2500_objects_over_several_pages(self):
        bucket, weather = self.bucket(), self.weather()
        go, stay = {old(2 + number / 100) for number in range(2400)}, {old(number / 200) for number in range(100)}
        self.put_all(bucket, {"p1/" + name for name in go | stay} | {"p11/" + EXPIRED, "p1/x/" + EXPIRED})
        host = self.host(bucket, weather, folder="p1")
        listed = host.run("list", "--json")
        self.assertExit(listed, 0)
        rows = json.loads(listed.stdout)
        self.assertEqual(len(rows), 2500)
        # Of the newest hundred the end was read, and nothing was said of the rest.
        self.assertEqual([row["proven"] for row in rows], [False] * 100 + [None] * 2400)
        lists, deletes = "list-type=2", "^delete"
        self.assertEqual(len(weather.calls("GET", query=lists)), 3)
        self.assertLessEqual(len(weather.calls()), 3 + 2 * 100)
        weather.clear()
        result = host.cycle()
        new = self.assertUploaded(result, host, bucket, "p1/")
        self.assertEqual(set(self.api.keys_of(bucket)),
                         {"p1/" + name for name in stay | {new}} | {"p11/" + EXPIRED, "p1/x/" + EXPIRED})
        self.assertEqual(len(result.named("Deleted remote backup")), 2400)
        self.assertEqual(len(weather.calls("GET", query=lists)), 3)
        self.assertLessEqual(len(weather.calls("POST", query=deletes)), 3)
        self.assertEqual(weather.calls("DELETE"), [])
        self.assertLess(result.peak_rss_kib, 40 << 10)

    def test_keep_last(self):
        bucket = self.bucket()
        self.put_all(bucket, [old(day) for day in range(1, 6)])
        host = self.host(bucket, retention="1m")
        host.snapshots["keep_last"] = 3
        made = [self.assertUploaded(host.cycle(100), host, bucket)]
        self.assertEqual(set(self.api.keys_of(bucket)), {*made, old_key(bucket, self, 1), old_key(bucket, self, 2)})
        made += [self.assertUploaded(host.cycle(100), host, bucket) for _ in range(3)]
        self.assertEqual(set(self.api.keys_of(bucket)), set(made[1:]))
        self.assertEqual(host.files, made[1:])

    def test_a_number_of_snapshots(self):
        bucket = self.bucket()
        self.put_all(bucket, [old(day) for day in range(1, 6)] + [old(9, "other-host"), "notes.txt"])
        host = self.host(bucket, retention="3")
        host.snapshots["retention_unit"] = "snapshots"
        made = []
        for left in (2, 1, 0, 0):
            made.append(self.assertUploaded(host.cycle(), host, bucket))
            ours = [key for key in self.api.keys_of(bucket) if key.endswith("Z_etcd.zip")]
            self.assertEqual(len(ours), 3)
            self.assertEqual(ours[left:], made[-3:])
        self.assertEqual(host.files, made[-3:])
        self.assertEqual(len(self.api.keys_of(bucket)), 5)

    def test_a_clock_that_was_set_ahead_stops_pruning_there_too(self):
        bucket = self.bucket()
        host = self.host(bucket)
        self.assertUploaded(host.cycle(), host, bucket)
        self.put_all(bucket, [EXPIRED])
        path = os.path.join(host.runtime, "state.json")
        with open(path) as file:
            state = json.load(file)
        state["clock_offset_s"] -= 7200  # two hours were skipped since
        self.write(path, json.dumps(state))
        result = host.cycle()
        self.assertExit(result, 0)
        self.assertSays(result, "The clock was set ahead", "warning")
        self.assertIn(EXPIRED, self.api.keys_of(bucket))

    def test_hosts_that_sign_their_names_prune_their_own(self):
        bucket = self.bucket()
        a, b = (self.host(bucket, name=name, retention="1m") for name in "ab")
        for host in (a, b):
            host.snapshots["include_host"] = "yes"
            self.assertUploaded(host.cycle(), host, bucket)
        of_b = b.files
        new = self.assertUploaded(a.cycle(100), a, bucket)
        self.assertEqual(self.api.keys_of(bucket), [*of_b, new])

    def test_each_snapshot_goes_here_and_there_when_its_time_has_come(self):
        bucket = self.bucket()
        host = self.host(bucket, retention="1m")
        first = self.assertUploaded(host.cycle(), host, bucket)
        second = self.assertUploaded(host.cycle(40), host, bucket)
        self.assertEqual(self.api.keys_of(bucket), [first, second])
        result = host.cycle(40)
        third = self.assertUploaded(result, host, bucket)
        self.assertEqual((self.api.keys_of(bucket), host.files), ([second, third], [second, third]))
        for message in ("Deleted remote backup", "Deleted local backup"):
            self.assertEqual([line["name"] + ".zip" for line in result.named(message)], [first])

    def test_nothing_goes_while_the_cluster_is_unhealthy(self):
        server = fakes.FaultServer(range=lambda stream: stream.headers(
            [("grpc-status", "14"), ("grpc-message", "etcdserver: no leader")], end=True))
        self.addCleanup(server.stop)
        bucket = self.bucket()
        self.put_all(bucket, [EXPIRED])
        result = (host := self.host(bucket, endpoint=server.endpoint)).cycle()
        self.assertExit(result, 0)
        self.assertEqual(self.api.keys_of(bucket), [EXPIRED, *host.files])

    def test_nothing_goes_when_the_upload_failed(self):
        bucket, weather = self.bucket(), self.weather()
        self.put_all(bucket, [EXPIRED])
        weather.when(s3_faults.error(500, "InternalError"), "PUT", times=None)
        host = self.host(bucket, weather)
        self.assertSafeHere(host.cycle())
        self.assertEqual(self.api.keys_of(bucket), [EXPIRED])

    def test_in_a_bucket_with_locks_old_versions_stay(self):
        bucket = self.bucket(lock=True)
        self.api.put(bucket, EXPIRED, b"of old", x_amz_object_lock_mode="GOVERNANCE",
                     x_amz_object_lock_retain_until_date="2099-01-01T00:00:00Z")
        host = self.host(bucket)
        new = self.assertUploaded(host.cycle(), host, bucket)
        self.assertEqual(self.api.keys_of(bucket), [new])  # hidden; what is locked is a version
        self.assertEqual([key for key, _ in self.api.versions(bucket)].count(EXPIRED), 2)

    def test_locked_ones_stay_with_a_note(self):
        bucket, weather = self.bucket(), self.weather()
        self.put_all(bucket, [EXPIRED, old(3)])
        weather.when(refuse_deleting(self.api, bucket, EXPIRED, "object is WORM protected"), "POST", query="^delete")
        host = self.host(bucket, weather)
        result = host.cycle()
        self.assertUploaded(result, host, bucket)
        note, = result.named("Expired backups stay in the bucket, which locks them")
        self.assertEqual((note["count"], note["name"]), ("1", EXPIRED))
        self.assertEqual(self.api.keys_of(bucket), [EXPIRED, *host.files])

    def test_a_refused_deletion_is_told_and_stops_nothing(self):
        bucket, weather = self.bucket(), self.weather()
        names = [f"2019-01-0{day}T00:00:00Z_etcd.zip" for day in range(1, 5)]
        self.put_all(bucket, names)
        weather.when(refuse_deleting(self.api, bucket, names[1]), "POST", query="^delete", times=None)
        host = self.host(bucket, weather)
        result = host.cycle()
        self.assertExit(result, 76)
        self.assertSays(result, names[1], "error")
        self.assertEqual([line["name"] for line in result.named("Uploaded backup")], result.created)
        self.assertEqual(len(result.named("Deleted remote backup")), 3)
        self.assertFalse(result.says("not in the bucket", "error"), f"it is in the bucket:\n{result}")
        weather.clear()
        self.assertUploaded(host.cycle(), host, bucket)
        self.assertEqual(self.api.keys_of(bucket), host.files)

    def test_another_clusters_snapshots_stay_until_that_is_accepted(self):
        bucket = self.bucket()
        server = fakes.FaultServer()
        self.addCleanup(server.stop)
        before = self.host(bucket, name="before", endpoint=server.endpoint, retention="1m")
        before.name = None
        before_file = self.assertUploaded(before.cycle(), before, bucket)
        host = self.host(bucket, name="now", retention="1m")
        host.name = None
        host.ahead_s = 100
        result = host.cycle()
        self.assertExit(result, 0)
        self.assertSays(result, "--accept-history", "warning")
        self.assertEqual(self.api.keys_of(bucket), [before_file, *host.files])
        self.assertSays(host.run("prune"), "--accept-history")
        self.assertEqual(self.api.keys_of(bucket), [before_file, *host.files])
        self.assertExit(host.run("prune", "--accept-history"), 0)
        self.assertEqual(self.api.keys_of(bucket), host.files)


def old_key(bucket, case, day):
    """The key of old(day), whose seconds depend on when it was made."""
    return sorted(key for key in case.api.keys_of(bucket) if key[:10] == old(day)[:10])[-1]


def refuse_deleting(api, bucket, name, reason="made by the test"):
    """As if a rule of the bucket held one key of a batch."""
    def act(exchange):
        exchange.drain()
        for key in re.findall(r"<Key>(.*?)</Key>", exchange.seen.body.decode()):
            if key != name:
                api.delete(bucket, key)
        exchange.answer(200, f"<DeleteResult><Error><Key>{name}</Key><Code>AccessDenied</Code>"
                             f"<Message>{reason}</Message></Error></DeleteResult>")
    return act
