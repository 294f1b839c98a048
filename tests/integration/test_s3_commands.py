"""save, delete, prune, list and check with a bucket."""
import json
import os
import shutil

import rgw
import s3_faults
from agent import POLICY
from case import EXPIRED
from s3hosts import HOST, BucketCase, old, same_second


class Save(BucketCase):
    def test_by_the_flags_alone(self):
        """cluster.yml knows of no bucket; RKE's flags do."""
        bucket = self.bucket()
        host = self.host(bucket)
        host.policy = POLICY
        host.section("s3")["lookup"] = "path"
        result = host.run("save", "--s3", "--name", "vor dem Größten", "--bucket-name", bucket,
                          "--folder", "by/hand", "--s3-endpoint", self.s3.tls_endpoint, "--s3-endpoint-ca", self.s3.ca,
                          "--access-key", rgw.LAB.access_key, "--secret-key", rgw.LAB.secret_key,
                          "--region", "us-east-1")
        self.assertUploaded(result, host, bucket, "by/hand/")
        self.assertEqual(self.api.keys_of(bucket), ["by/hand/vor dem Größten.zip"])
        self.assertNotIn(rgw.LAB.secret_key, result.stderr + result.stdout)

    def test_flags_go_over_the_policy(self):
        bucket, other = self.bucket(), self.bucket()
        host = self.host(bucket, folder="p1")
        self.put_all(bucket, ["p1/" + EXPIRED])
        self.assertExit(host.run("save", "--s3", "--name", "one"), 0)
        self.assertExit(host.run("save", "--s3", "--name", "two", "--bucket-name", other, "--folder", "p2"), 0)
        self.assertEqual(self.api.keys_of(bucket), ["p1/" + EXPIRED, "p1/one.zip"])  # saving prunes nothing
        self.assertEqual(self.api.keys_of(other), ["p2/two.zip"])
        self.assertInBucket(host, other, ["two.zip"], "p2/")

    def test_without_the_flag_the_next_cycle_takes_it_there(self):
        bucket = self.bucket()
        host = self.host(bucket)
        self.assertExit(host.run("save", "--name", "by hand"), 0)
        self.assertEqual(self.api.keys_of(bucket), [])
        host.ahead_s = 2
        self.assertUploaded(host.cycle(), host, bucket)
        self.assertInBucket(host, bucket, host.files)
        self.assertIn("by hand.zip", host.files)

    def test_a_name_that_is_taken_there(self):
        bucket = self.bucket()
        host = self.host(bucket, name="a")
        self.api.put(bucket, "mine.zip", b"somebody else's")
        result = host.run("save", "--s3", "--name", "mine")
        self.assertExit(result, 0)
        self.assertEqual(self.api.get(bucket, "mine.zip"), b"somebody else's")
        self.assertEqual(self.api.get(bucket, "mine_a.zip"), host.read("mine.zip"))

    def test_a_bucket_that_is_not_there(self):
        bucket = self.bucket()
        host = self.host(bucket)
        result = host.run("save", "--s3", "--bucket-name", bucket + "-none")
        self.assertSafeHere(result)
        self.assertSays(result, "NoSuchBucket", "error")
        self.assertEqual(len(host.files), 1)

    def test_without_a_bucket_it_is_a_usage_error(self):
        host = self.host(self.bucket())
        host.policy = POLICY
        result = host.run("save", "--s3")
        self.assertExit(result, 64, 78)
        self.assertEqual(host.files, [])


class Commands(BucketCase):
    def prepared(self, **more):
        """Three cycles and one by hand, all in both places."""
        bucket = self.bucket()
        host = self.host(bucket, folder="p1", **more)
        self.assertExit(host.run("save", "--name", "by hand"), 0)
        made = [self.assertUploaded(host.cycle(), host, bucket, "p1/") for _ in range(3)]
        return bucket, host, made

    def test_delete_takes_one_exact_snapshot_in_both_places(self):
        bucket, host, made = self.prepared()
        for wanted, gone in ((made[0], made[0]), (made[1].removesuffix(".zip"), made[1]), ("by hand", "by hand.zip")):
            with self.subTest(wanted):
                there, here = set(self.api.keys_of(bucket)), set(host.files)
                result = host.run("delete", wanted, "--s3")
                self.assertExit(result, 0)
                self.assertEqual(set(self.api.keys_of(bucket)), there - {"p1/" + gone})
                self.assertEqual(set(host.files), here - {gone})
                for message in ("Deleted remote backup", "Deleted local backup"):
                    self.assertEqual([line["name"] for line in result.named(message)], [gone.removesuffix(".zip")])

    def test_delete_of_what_lies_in_the_bucket_only(self):
        bucket, host, made = self.prepared()
        shutil.rmtree(host.directory)
        os.mkdir(host.directory, 0o700)
        for name in (made[0], "by hand.zip"):
            result = host.run("delete", name.removesuffix(".zip"), "--s3")
            self.assertExit(result, 0)
            self.assertEqual([line["name"] for line in result.named("Deleted remote backup")],
                             [name.removesuffix(".zip")])
        self.assertEqual(self.api.keys_of(bucket), ["p1/" + name for name in made[1:]])

    def test_delete_takes_nothing_of_another_host(self):
        """Both took one at the same second; one lies beside the other's there."""
        bucket = self.bucket()
        hosts = [self.host(bucket, name=name) for name in "ab"]
        now = same_second()
        for host in hosts:
            self.assertExit(host.run(env=now), 0)
        of_a, of_b = (host.read(host.files[0]) for host in hosts)
        name, = hosts[0].files
        self.assertExit(hosts[1].cycle(), 0)  # so that there is a newer one
        result = hosts[1].run("delete", name, "--s3")
        left = [self.api.get(bucket, key) for key in self.api.keys_of(bucket)]
        self.assertTrue(of_a in left, f"host b deleted host a's:\n{result}")
        if result.code == 0:
            self.assertFalse(of_b in left, "it deleted nothing")

    def test_delete_refuses_the_newest_without_force(self):
        bucket, host, made = self.prepared()
        there = self.api.keys_of(bucket)
        result = host.run("delete", made[-1], "--s3")
        self.assertExit(result, 64)
        self.assertSays(result, "--force")
        self.assertEqual(self.api.keys_of(bucket), there)
        self.assertExit(host.run("delete", made[-1], "--s3", "--force"), 0)
        self.assertEqual(self.api.keys_of(bucket), [key for key in there if key != "p1/" + made[-1]])
        self.assertNotIn(made[-1], host.files)

    def test_delete_refuses_what_is_not_ours(self):
        bucket, host, made = self.prepared()
        shutil.rmtree(host.directory)
        os.mkdir(host.directory, 0o700)
        self.put_all(bucket, ["p1/notes.txt", "p1/data.zip", "p1/x/" + EXPIRED, "p11/" + EXPIRED])
        there = self.api.keys_of(bucket)
        for name in ("notes.txt", "data.zip", "data", "x/" + EXPIRED, "../p11/" + EXPIRED, EXPIRED, "", "by", "*",
                     "by hand.zip.zip", "p1/" + made[0]):
            with self.subTest(name):
                self.assertExit(host.run("delete", name, "--s3", "--force"), 64)
                self.assertEqual(self.api.keys_of(bucket), there)

    def test_delete_here_leaves_the_bucket_alone(self):
        bucket, host, made = self.prepared()
        there = self.api.keys_of(bucket)
        self.assertExit(host.run("delete", made[0]), 0)
        self.assertNotIn(made[0], host.files)
        self.assertEqual(self.api.keys_of(bucket), there)

    def test_prune_does_what_the_dry_run_says(self):
        bucket, host, made = self.prepared()
        expired, kept = {old(2), old(3, HOST), EXPIRED}, {old(0.5), old(9, "other-host"), "notes.txt"}
        self.put_all(bucket, ["p1/" + name for name in expired | kept] + ["p11/" + EXPIRED])
        there = set(self.api.keys_of(bucket))
        dry = host.run("prune", "--dry-run")
        self.assertExit(dry, 0)
        self.assertEqual(set(self.api.keys_of(bucket)), there)
        table = dry.stdout.partition("IN THE BUCKET")[2]
        for name in expired | kept | set(made) | {"by hand.zip"}:
            rows = [row for row in table.splitlines() if row.startswith(name + " ")]
            self.assertEqual(len(rows), 1, f"{name} in\n{table}")
            self.assertIn(" delete " if name in expired else " keep ", rows[0])
        result = host.run("prune")
        self.assertExit(result, 0)
        self.assertEqual(set(self.api.keys_of(bucket)), there - {"p1/" + name for name in expired})
        self.assertSays(result, "3 deleted in https://")

    def test_prune_without_a_snapshot_in_both_places_deletes_nothing_there(self):
        bucket, host, made = self.prepared()
        self.put_all(bucket, ["p1/" + EXPIRED])
        for name in made:
            self.api.delete(bucket, "p1/" + name)
        there = self.api.keys_of(bucket)
        self.assertExit(host.run("prune"), 0)
        self.assertEqual(self.api.keys_of(bucket), there)

    def test_prune_keeps_here_what_the_bucket_lacks(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, retention="1m")
        weather.down()
        for _ in range(2):
            self.assertSafeHere(host.cycle())
        weather.up()
        before = host.files
        host.ahead_s = 200
        dry = host.run("prune", "--dry-run")
        self.assertExit(dry, 0)
        self.assertSays(dry, "not in the bucket yet")
        self.assertExit(host.run("prune"), 0)
        self.assertEqual(host.files, before)
        self.assertUploaded(host.cycle(), host, bucket)
        self.assertEqual(len(host.files), 1)  # now all else is expired, and would be there

    def test_prune_with_a_bucket_that_is_down(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather, retention="1m")
        made = [self.assertUploaded(host.cycle(), host, bucket) for _ in range(2)]
        weather.down()
        host.ahead_s = 200
        result = host.run("prune")
        self.assertExit(result, 76)
        self.assertEqual(host.files, made[1:])  # the bucket has both
        weather.up()

    def test_the_list_knows_both_places(self):
        bucket, host, made = self.prepared()
        self.assertExit(host.run("delete", made[0]), 0)
        self.api.delete(bucket, "p1/" + made[1])
        self.put_all(bucket, ["p1/" + EXPIRED, "p1/notes.txt", "p1/data.zip", "p11/" + old(5)])
        listed = host.run("list", "--json")
        self.assertExit(listed, 0)
        rows = {row["file"]: row for row in json.loads(listed.stdout)}
        self.assertEqual({name: row["where"] for name, row in rows.items()}, {
            made[2]: ["local", "bucket"], made[1]: ["local"], made[0]: ["bucket"], EXPIRED: ["bucket"],
            "by hand.zip": ["local", "bucket"]})
        self.assertEqual({name: row["proven"] for name, row in rows.items()}, {
            made[2]: True, made[1]: True, made[0]: True, EXPIRED: False, "by hand.zip": True})
        self.assertEqual(rows[made[0]]["revision"], rows[made[1]]["revision"])
        self.assertEqual(rows[made[0]]["sha256"], rows[made[1]]["sha256"])
        table = host.run("list").stdout
        for name, words in ((made[0], " bucket "), (made[1], " local "), (made[2], "local, bucket")):
            row, = [row for row in table.splitlines() if row.startswith(name)]
            self.assertIn(words, row)
            self.assertTrue(row.rstrip().endswith("yes"), row)

    def test_the_list_of_a_host_that_lost_everything(self):
        bucket, host, made = self.prepared()
        shutil.rmtree(host.directory)
        rows = json.loads(host.run("list", "--json").stdout)
        self.assertEqual({row["file"]: (row["where"], row["proven"], row["kind"]) for row in rows}, {
            **{name: (["bucket"], True, "rolling") for name in made},
            "by hand.zip": (["bucket"], True, "one-time")})

    def test_the_list_does_not_call_unproven_what_it_cannot_know(self):
        """A bare database has no manifest in the bucket."""
        bucket = self.bucket()
        host = self.host(bucket)
        host.snapshots["compression"] = "none"
        self.assertUploaded(host.cycle(), host, bucket)
        shutil.rmtree(host.directory)
        row, = json.loads(host.run("list", "--json").stdout)
        self.assertIsNone(row["proven"])

    def test_the_list_of_a_bucket_that_is_down(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather)
        name = self.assertUploaded(host.cycle(), host, bucket)
        weather.down()
        for flags in ((), ("--json",)):
            listed = host.run("list", *flags)
            self.assertExit(listed, 76)
            self.assertIn(name, listed.stdout)
            self.assertIn("nothing listens there", listed.stderr)
        weather.up()

    def test_check(self):
        bucket, host, made = self.prepared()
        puts = self.api.list(bucket)
        result = host.run("check")
        self.assertExit(result, 0)
        for line in (f"note  https://{self.s3.tls_endpoint}/{bucket}/p1,", "ok    keys from cluster.yml",
                     "ok    it answers: 3 snapshots, the newest is ", made[-1], "ok    objects can be looked at",
                     "CN=private CA"):
            self.assertIn(line, result.stdout)
        self.assertEqual(self.api.list(bucket), puts)

    def test_check_says_why_interrupted_uploads_cannot_be_listed(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather)
        self.assertExit(host.cycle(), 0)
        for act, said, unsaid in (
                (s3_faults.error(403, "AccessDenied"), "s3:ListBucketMultipartUploads is not allowed", "HTTP"),
                (s3_faults.error(500, "InternalError", "out of order"), "InternalError: out of order",
                 "s3:ListBucketMultipartUploads")):
            weather.clear()
            rule = weather.when(act, "GET", query="(^|&)uploads")
            result = host.run("check")
            self.assertNotIn("FAIL", result.stdout)
            self.assertEqual(rule.hits, 1)
            line, = [line for line in result.stdout.splitlines() if "interrupted" in line]
            self.assertIn(said, line)
            self.assertNotIn(unsaid, line)

    def test_check_of_a_bucket_that_is_not_there(self):
        bucket = self.bucket()
        host = self.host(bucket)
        host.policy = host.policy.replace(bucket, bucket + "-none")
        result = host.run("check")
        self.assertNotIn(result.code, (0, 1), str(result))
        self.assertIn("NoSuchBucket", result.stdout)
