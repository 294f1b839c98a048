"""No object is ever replaced: what has the name already stays, and ours goes beside it."""
import threading

import s3_faults
from s3hosts import BucketCase, same_second, sent_names


class WriteOnce(BucketCase):
    def two_hosts(self, bucket, *weathers, **more):
        """Hosts a and b whose clocks stand still at the same second until told otherwise."""
        hosts = [self.host(bucket, weather, name=name, **more)
                 for name, weather in zip("ab", weathers or (None, None))]
        return hosts, same_second()

    def test_another_object_of_the_name_stays_and_ours_goes_beside_it(self):
        bucket, weather = self.bucket(), self.weather()
        (host, _), now = self.two_hosts(bucket, weather, None, folder="p1")
        taken = "p1/" + now["FAKETIME"].replace(" ", "T") + "Z_etcd.zip"
        self.api.put(bucket, taken, b"somebody else's")
        result = host.run(env=now)
        self.assertExit(result, 0)
        name, = host.files
        self.assertEqual("p1/" + name, taken)
        beside = taken.replace("_etcd", "_a_etcd")
        self.assertEqual(self.api.list(bucket), {beside: len(host.read(name)), taken: 15})
        self.assertEqual(self.api.get(bucket, taken), b"somebody else's")
        self.assertEqual(self.api.get(bucket, beside), host.read(name))
        warned, = result.named("The name is taken in the bucket by other content, taking one beside it")
        self.assertEqual((warned["level"], warned["name"], "p1/" + warned["object"]),
                         ("warning", name.removesuffix(".zip"), beside))
        for lost in (False, True):
            with self.subTest(state_lost=lost):
                if lost:
                    host.runtime_reset()
                weather.clear()
                second = self.assertUploaded(host.cycle(), host, bucket, "p1/")
                self.assertEqual(sent_names(weather), [second])
        self.assertEqual(len(self.api.list(bucket)), 4)

    def test_both_names_are_taken(self):
        bucket = self.bucket()
        (host, _), now = self.two_hosts(bucket)
        stem = now["FAKETIME"].replace(" ", "T") + "Z"
        for name in (f"{stem}_etcd.zip", f"{stem}_a_etcd.zip"):
            self.api.put(bucket, name, b"somebody else's")
        result = host.run(env=now)
        self.assertExit(result, 0)
        third = f"{stem.removesuffix('Z')}.2Z_a_etcd.zip"
        self.assertEqual(self.api.get(bucket, third), host.read(host.files[0]))
        self.assertEqual(len(self.api.keys_of(bucket)), 3)

    def test_the_same_content_is_not_sent_again(self):
        bucket, weather = self.bucket(), self.weather()
        host = self.host(bucket, weather)
        first = self.assertUploaded(host.cycle(), host, bucket)
        self.assertEqual(sent_names(weather), [first])
        host.runtime_reset()
        weather.clear()
        second = self.assertUploaded(host.cycle(), host, bucket)
        self.assertEqual(sent_names(weather), [second])
        self.assertEqual(self.api.keys_of(bucket), [first, second])

    def test_two_hosts_at_the_same_second(self):
        bucket = self.bucket()
        hosts, now = self.two_hosts(bucket, folder="p1")
        runs = [self.started(host, "run", env=now) for host in hosts]
        for run in runs:
            self.assertExit(run.wait(), 0)
        self.assertEqual(hosts[0].files, hosts[1].files)
        self.assertBothThere(bucket, hosts)
        for host in hosts:
            host.ahead_s = 5 if host.name == "a" else 8
            self.assertExit(host.cycle(), 0)
        self.assertBothThere(bucket, hosts)
        self.assertEqual(len(self.api.keys_of(bucket)), 4)

    def assertBothThere(self, bucket, hosts):
        there = [self.api.get(bucket, key) for key in self.api.keys_of(bucket)]
        for host in hosts:
            for name in host.files:
                self.assertTrue(host.read(name) in there, f"{name} of host {host.name} is not in the bucket")

    def test_two_hosts_race_on_a_server_that_overwrites(self):
        """A server without If-None-Match, and both hosts have looked before either wrote."""
        bucket, weather = self.bucket(), self.weather()
        hosts, now = self.two_hosts(bucket, weather, weather)
        both = threading.Barrier(2)

        def write(exchange):
            both.wait(20)
            exchange.forward(without=("if-none-match",))
        weather.when(write, "PUT", times=2)
        runs = [self.started(host, "run", env=now) for host in hosts]
        results = [run.wait() for run in runs]
        for result in results:
            self.assertExit(result, 0, 76)
            self.assertEqual(len(result.created), 1)
        for host in hosts:
            host.ahead_s = 5 if host.name == "a" else 8
            self.assertExit(host.cycle(), 0)
        self.assertBothThere(bucket, hosts)

    def test_a_server_that_does_not_know_the_header(self):
        bucket, weather = self.bucket(), self.weather()
        weather.when(s3_faults.refuse_header("if-none-match"), "PUT", times=None)
        host = self.host(bucket, weather)
        self.assertUploaded(host.cycle(), host, bucket)
