"""A bucket that is away, slow or forgotten: no local snapshot is lost, and later cycles catch up."""
import unittest

import dirs
import s3_faults
from s3hosts import MIB, BucketCase, object_puts, old, sent_names


class BucketAway(BucketCase):
    def away_for(self, cycles, after_s=2, **more):
        """(bucket, weather, host, files) after so many cycles with a bucket that refuses connections."""
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, folder="p1", **more)
        weather.down()
        for _ in range(cycles):
            result = host.cycle(after_s)
            self.assertSafeHere(result)
            self.assertSays(result, "nothing listens there", "error")
        self.assertEqual(len(host.files), cycles)
        weather.up()
        return bucket, weather, host, host.files

    def test_five_cycles_and_then_complete(self):
        bucket, weather, host, missing = self.away_for(5)
        result = host.cycle()
        new = self.assertUploaded(result, host, bucket, "p1/")
        self.assertInBucket(host, bucket, host.files, "p1/")
        self.assertEqual(self.api.keys_of(bucket), ["p1/" + name for name in [*missing, new]])
        self.assertEqual(sent_names(weather), [new, *reversed(missing)])
        self.assertEqual([line["name"] + ".zip" for line in result.named("Uploaded backup of an earlier cycle")],
                         missing[::-1])
        weather.clear()
        later = self.assertUploaded(host.cycle(), host, bucket, "p1/")
        self.assertEqual(sent_names(weather), [later])

    def test_what_it_lacks_outlives_the_retention_here(self):
        bucket, _, host, missing = self.away_for(3, after_s=100, retention="1m")
        # Expired meanwhile: there they would go at once.
        result = host.cycle(100)
        new = self.assertUploaded(result, host, bucket, "p1/")
        self.assertEqual(self.api.keys_of(bucket), ["p1/" + new])
        self.assertEqual(host.files, [new])
        self.assertEqual(sorted(line["name"] + ".zip" for line in result.named("Deleted local backup")), missing)
        self.assertEqual(result.named("Deleted remote backup"), [])

    def test_what_it_has_is_pruned_here_while_it_is_away(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, retention="1m")
        first = self.assertUploaded(host.cycle(), host, bucket)
        weather.down()
        self.assertSafeHere(host.cycle(100))
        self.assertNotIn(first, host.files)  # it is known to be there
        second, = host.files
        self.assertSafeHere(host.cycle(100))
        self.assertIn(second, host.files)
        weather.up()
        third = self.assertUploaded(host.cycle(2), host, bucket)
        self.assertIn(third, self.api.keys_of(bucket))
        self.assertNotIn(first, self.api.keys_of(bucket))

    def test_some_of_them_expired(self):
        bucket, weather, host, missing = self.away_for(4, after_s=25, retention="1m")
        result = host.cycle(25)  # they are 100, 75, 50 and 25 seconds old
        new = self.assertUploaded(result, host, bucket, "p1/")
        self.assertEqual(self.api.keys_of(bucket), ["p1/" + name for name in [*missing[2:], new]])
        self.assertEqual(host.files, [*missing[2:], new])
        self.assertEqual(sent_names(weather), [new, missing[3], missing[2]])

    def test_where_a_number_counts_only_so_many_go_there(self):
        bucket, weather, host, missing = self.away_for(4, retention="2")
        host.snapshots["retention_unit"] = "snapshots"
        weather.down()
        self.assertSafeHere(host.cycle())
        self.assertEqual(host.files[:4], missing)  # nothing goes here that is not there
        weather.up()
        before = host.files[-1]
        new = self.assertUploaded(host.cycle(), host, bucket, "p1/")
        self.assertEqual(self.api.keys_of(bucket), ["p1/" + before, "p1/" + new])
        self.assertEqual(host.files, [before, new])

    def test_a_failure_in_the_middle_of_catching_up(self):
        bucket, weather, host, missing = self.away_for(4)
        weather.when(s3_faults.error(403, "AccessDenied"), "PUT", missing[1])
        result = host.cycle()
        self.assertBehind(result)
        self.assertSays(result, missing[1], "error")
        new = host.files[-1]
        # One that is refused does not keep the others.
        there = [missing[0], missing[2], missing[3], new]
        self.assertEqual(self.api.keys_of(bucket), ["p1/" + name for name in there])
        weather.clear()
        last = self.assertUploaded(host.cycle(), host, bucket, "p1/")
        self.assertEqual(sent_names(weather), [last, missing[1]])
        self.assertInBucket(host, bucket, host.files, "p1/")

    def test_etcd_is_down_when_it_is_back(self):
        bucket, weather, host, missing = self.away_for(3)
        endpoint, host.etcd["endpoints"] = host.etcd["endpoints"], "http://127.0.0.1:9"
        self.put_all(bucket, ["p1/" + old(9)])
        expired, = self.api.keys_of(bucket)
        result = host.cycle()
        self.assertExit(result, 69)
        self.assertEqual(self.api.keys_of(bucket), [expired, *("p1/" + name for name in missing)])
        self.assertInBucket(host, bucket, missing, "p1/")
        self.assertEqual(host.files, missing)
        host.etcd["endpoints"] = endpoint
        weather.clear()
        new = self.assertUploaded(host.cycle(), host, bucket, "p1/")
        self.assertEqual(sent_names(weather), [new])
        self.assertNotIn(expired, self.api.keys_of(bucket))

    def test_etcd_and_the_bucket_are_down(self):
        _, weather, host, missing = self.away_for(2, retention="1m")
        weather.down()
        host.etcd["endpoints"] = "http://127.0.0.1:9"
        result = host.cycle(100)
        self.assertExit(result, 69)
        self.assertSays(result, "nothing listens there", "error")
        self.assertEqual(host.files, missing)
        self.assertFalse(result.says("Backup is safe here"), f"there is no backup:\n{result}")

    def test_after_a_reboot_nothing_is_sent_twice(self):
        bucket, weather, host, missing = self.away_for(3)
        self.assertUploaded(host.cycle(), host, bucket, "p1/")
        weather.clear()
        for _ in range(2):
            host.runtime_reset()
            new = self.assertUploaded(host.cycle(), host, bucket, "p1/")
            self.assertEqual(sent_names(weather)[-1], new)
        self.assertEqual(len(object_puts(weather)), 2)
        self.assertEqual(len(self.api.keys_of(bucket)), len(missing) + 3)

    def test_a_state_that_is_garbage_costs_nothing(self):
        bucket, weather, host, _ = self.away_for(1)
        self.assertUploaded(host.cycle(), host, bucket, "p1/")
        for text in ("}{\0", "[]", "{}", '{"place": 1, "entries": []}'):
            self.write(f"{host.runtime}/bucket.json", text)
            weather.clear()
            new = self.assertUploaded(host.cycle(), host, bucket, "p1/")
            self.assertEqual(sent_names(weather), [new])

    def test_another_bucket_gets_them_all(self):
        first, second = self.bucket(), self.bucket()
        host = self.host(first)
        made = [self.assertUploaded(host.cycle(), host, first) for _ in range(2)]
        host.policy = host.policy.replace(first, second)
        self.assertUploaded(host.cycle(), host, second)
        self.assertEqual(self.api.keys_of(second), host.files)
        self.assertEqual(self.api.keys_of(first), made)

    def test_what_nobody_proved_is_not_uploaded(self):
        bucket = self.bucket()
        host = self.host(bucket)
        young = old(0.2)
        before = self.old_snapshots(host, (young, "2018-05-04T18:40:16Z_etcd", "rke_etcd_snapshot_before.zip"))
        new = self.assertUploaded(host.cycle(), host, bucket)
        self.assertEqual(self.api.keys_of(bucket), [new])
        self.assertEqual(set(before) - set(host.files), {"2018-05-04T18:40:16Z_etcd"})

    def test_time_is_over_before_all_are_there(self):
        """Each takes its second, and the cycle has six for everything."""
        bucket, weather, host, missing = self.away_for(6)
        weather.when(s3_faults.delay(1.5), "PUT", times=None)
        host.policy = host.policy.replace("retention:", "timeout: 6\n      retention:")
        result = host.cycle()
        self.assertBehind(result)
        there = self.api.keys_of(bucket)
        self.assertGreater(len(there), 1)
        self.assertLess(len(there), 7)
        self.assertEqual(there, ["p1/" + name for name in host.files][-len(there):])  # the newest
        self.assertLess(result.seconds, 12)
        weather.clear()
        host.cycle()
        self.assertInBucket(host, bucket, host.files, "p1/")


class SmallDisks(BucketCase):
    """The database has 3 MiB that do not compress."""

    fill_bytes = 3 * MIB

    @classmethod
    def setUpClass(cls):
        if reason := dirs.possible():
            raise unittest.SkipTest(reason)
        super().setUpClass()

    def behind(self, size_mib):
        """A host on a small disk with three expired snapshots that the bucket lacks."""
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, retention="1m")
        disk = dirs.SmallDisk(host.directory, size_mib)
        self.addCleanup(disk.unmount)
        weather.down()
        for _ in range(3):
            self.assertSafeHere(host.cycle(100))
        self.assertEqual(len(host.files), 3)
        return bucket, weather, host, disk

    def test_they_stay_while_there_is_room(self):
        _, _, host, disk = self.behind(100)
        before = host.files
        disk.fill(leave_bytes=40 * MIB, name=".filler")
        self.assertSafeHere(host.cycle(100))
        self.assertEqual(host.files[:3], before)

    def test_they_go_when_it_is_short(self):
        bucket, weather, host, disk = self.behind(100)
        disk.fill(leave_bytes=17 * MIB, name=".filler")
        result = host.cycle(100)
        self.assertSafeHere(result)
        self.assertEqual(len(host.files), 1)
        self.assertEqual(len(result.named("Deleted local backup")), 3)
        weather.up()
        self.assertExit(host.cycle(2), 0)
        self.assertInBucket(host, bucket, host.files)

    def test_they_make_room_for_the_next_before_it_comes(self):
        _, _, host, disk = self.behind(40)
        disk.fill(leave_bytes=4 * MIB, name=".filler")
        newest = host.files[-1]
        result = host.cycle(100)
        self.assertSafeHere(result)
        self.assertIn(result.created[0] + ".zip", host.files)
        self.assertTrue(result.named("Deleted local backup"), str(result))
        self.assertTrue(newest in host.files or len(host.files) == 1, host.files)
