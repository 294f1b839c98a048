"""S3 is a family of dialects: a whole cycle (upload in parts, pruning), delete --s3 and check --write against
the model of a server, once for each of its switches; and the endpoint that holds the bucket already."""
import os
import threading

import rgw
import s3_model
import s3api
from case import SharedMember, wait_until
from s3case import policy
from s3hosts import BucketCase, Host, old

KEYS = s3api.Keys("AKIDEXAMPLE", "secretexample")
PROBE = ".etcd-snapshot-probe-"


class ModelCase(SharedMember):
    fill_bytes = 6 << 20  # two parts

    def model(self, *switches):
        model = s3_model.Model("bkt", *switches)
        self.addCleanup(model.stop)
        return model

    def host(self, model, name="host", endpoint=None, bucket="bkt", safe=False, **more):
        host = Host(self.path(name), self.shared.endpoint)
        host.policy = policy(bucket, endpoint or model.endpoint, KEYS, folder="prod", retention="1", **more)
        if safe:
            host.policy = host.policy.replace("    backup_config:\n",
                                              "    backup_config:\n      safe_timestamp: true\n")
        host.section("s3")["part_size_mib"] = 5
        os.makedirs(host.directory, mode=0o700)
        return host

    def assertCycle(self, model, host):
        """One object for the new snapshot, the expired one gone; nothing of what others have there."""
        model.put("prod/" + old(2), b"of old")
        model.put("prod/" + old(2).replace(":", "-"), b"of old")
        model.put("prod/notes.txt", b"notes")
        result = host.cycle()
        self.assertExit(result, 0)
        self.assertEqual(len(result.named("Uploaded backup")), 1, str(result))
        new, = host.files
        self.assertEqual(set(model.objects), {"prod/" + new, "prod/notes.txt"}, str(result))
        self.assertTrue(model.objects["prod/" + new][0] == host.read(new))
        self.assertEqual(model.uploads, {})
        return new

    def assertDeleted(self, model, host, name):
        result = host.run("delete", name, "--s3", "--force")
        self.assertExit(result, 0)
        self.assertEqual(set(model.objects), {"prod/notes.txt"})

    def assertChecked(self, model, host, *says, code=0):
        before = dict(model.objects)
        result = host.run("check", "--write")
        self.assertExit(result, code)
        for text in says:
            self.assertIn(text, result.stdout)
        self.assertEqual(model.objects, before)
        self.assertEqual(model.uploads, {})
        return result


class Dialects(ModelCase):
    def whole(self, *switches, says=(), **options):
        model = self.model(*switches)
        host = self.host(model, **options)
        self.assertChecked(model, host, *says)
        name = self.assertCycle(model, host)
        self.assertDeleted(model, host, name)
        return model

    def test_none(self):
        model = self.whole(says=("PutObject: ", "HeadObject and GetObject", "ListObjectsV2 has it",
                                 "an object that exists is not overwritten", "an upload in two parts",
                                 "an upload that fails is aborted", "objects are deleted together",
                                 "a single object is deleted"))
        self.assertTrue(any(PROBE in call and "T" for call in model.calls))

    def test_objects_are_not_overwritten(self):
        self.whole("once_unknown", says=("the server does not hold back a write by If-None-Match",))
        self.whole("once_ignored", name="host2", says=("the server does not hold back a write by If-None-Match",))

    def test_delete_is_html(self):
        self.whole("delete_is_html")

    def test_no_batch(self):
        for switch in ("no_batch_501", "no_batch_400", "no_batch_405"):
            model = self.whole(switch, name=switch, says=("one by one",))
            self.assertEqual(len([call for call in model.calls if call.startswith("POST") and "delete" in call]), 3)

    def test_etags(self):
        for switch in ("etag_ozone", "etag_weak", "etag_gzip", "etag_upper"):
            self.whole(switch, name=switch)

    def test_no_expect(self):
        self.whole("no_expect")

    def test_head_without_a_length(self):
        self.whole("head_no_length")

    def test_md5_is_wanted(self):
        self.whole("wants_md5", says=("the bucket wants Content-MD5",))

    def test_writes_need_a_condition(self):
        self.whole("once_enforced")

    def test_a_conflict_when_an_upload_is_completed(self):
        model = self.model("complete_409")
        host = self.host(model)
        self.assertCycle(model, host)
        model.conflicts = 1
        self.assertChecked(model, host, "an upload in two parts: sent")

    def test_encryption_that_is_not_done(self):
        model = self.model("sse_ignored")
        host = self.host(model)
        host.section("s3")["sse"] = "AES256"
        self.assertChecked(model, host, "[s3] sse", code=76)
        result = host.cycle()
        self.assertExit(result, 76)
        self.assertEqual(len(result.created), 1)
        self.assertSays(result, "AES256")
        model.on.clear()
        self.assertChecked(model, host)

    def test_no_colon_in_names(self):
        model = self.model("no_colon")
        host = self.host(model)
        self.assertChecked(model, host, "XMinioInvalidObjectName", "set safe_timestamp: true", code=76)
        result = host.cycle()
        self.assertExit(result, 76)
        self.assertSays(result, "safe_timestamp")
        host = self.host(model, "host2", safe=True)
        self.assertChecked(model, host)
        result = host.cycle()
        self.assertExit(result, 0)
        self.assertEqual(len(result.named("Uploaded backup")), 1, str(result))


class Names(ModelCase):
    """Case of ex_aws#558, BookStackApp/BookStack#4556, vaersaagod/dospaces#16."""

    def test_the_endpoint_is_the_buckets_own_host(self):
        model = self.model()
        host = self.host(model, endpoint=f"http://bkt.localhost:{model.port}")
        name = self.assertCycle(model, host)
        self.assertIn(name, host.run("list").stdout)
        address = f"http://bkt.localhost:{model.port}/prod"
        self.assertIn(f" in {address},", host.run("status").stdout)
        self.assertDeleted(model, host, name)
        self.assertChecked(model, host, f"the endpoint is the bucket's own host name: {address}")

    def test_the_endpoint_is_a_server_whose_name_begins_like_the_bucket(self):
        model = self.model()
        model.host_names_bucket = False
        host = self.host(model, endpoint=f"http://bkt.localhost:{model.port}")
        self.assertCycle(model, host)

    def test_the_bucket_is_behind_the_endpoint(self):
        model = self.model()
        self.assertCycle(model, self.host(model, endpoint=model.endpoint + "/bkt/"))


class Tenants(BucketCase):
    def test_a_bucket_of_another_tenant(self):
        """Ceph's "tenant:bucket": one name, percent-encoded on the wire and in the signature."""
        api, name = self.s3.api(rgw.ACME), f"tenants-{os.getpid()}"
        api.create_bucket(name)
        self.addCleanup(api.remove_bucket, name)
        host = self.host(f"{rgw.TENANT}:{name}", keys=rgw.ACME, folder="p1")
        for lookup in ("auto", "dns"):
            host.section("s3")["lookup"] = lookup
            result = host.cycle()
            self.assertExit(result, 0)
            self.assertEqual(len(result.named("Uploaded backup")), 1, str(result))
            self.assertIn("p1/" + host.files[-1], api.keys_of(name))
        checked = host.run("check", "--write")
        self.assertExit(checked, 0)
        self.assertEqual(set(api.keys_of(name)), {"p1/" + name for name in host.files})


class Probe(ModelCase):
    def test_nothing_stays_behind(self):
        """Whatever fails, and when the process is asked to stop."""
        for method, query in (("PUT", "partNumber=2"), ("POST", "uploadId"), ("POST", "delete"), ("GET", "list-type")):
            with self.subTest(method=method, query=query):
                model = self.model()
                model.fail_once = (method, query)
                self.assertChecked(model, self.host(model, name=method + query), "FAIL", code=76)

    def test_the_process_is_asked_to_stop(self):
        model = self.model()
        model.hold = ("partNumber=2", threading.Event())
        self.addCleanup(model.hold[1].set)
        run = self.started(self.host(model), "check", "--write")
        wait_until(lambda: any("partNumber=2" in call for call in list(model.calls)), "the second part")
        self.assertTrue(any(PROBE in key for key in model.objects))
        run.signal(15)
        result = run.wait()
        self.assertNotEqual(result.code, 0)
        self.assertEqual((model.objects, model.uploads), ({}, {}))

    def test_without_the_flag_nothing_is_written(self):
        model = self.model()
        result = self.host(model).run("check")
        self.assertExit(result, 0)
        self.assertIn("with --write only", result.stdout)
        self.assertEqual({call.split()[0] for call in model.calls} - {"GET", "HEAD"}, set())
        self.assertEqual(os.listdir(self.tmp), ["host"])
