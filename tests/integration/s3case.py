"""The base of tests with S3: the test run's gateway, a bucket of the test's own, and an agent that
uses it. What is in the bucket is looked at through s3api, not through the agent."""
import itertools
import os
import unittest

import pki
import rgw
import s3_weather
import web_proxy
from case import Case

_numbers = itertools.count(1)


def indented(text, by):
    return "".join(" " * by + line + "\n" for line in text.strip().splitlines())


def policy(bucket, endpoint=None, keys=rgw.LAB, ca_text=None, interval="1m", retention="24", **more):
    """cluster.yml with a bucket. keys=None: neither key is set. `more`: further keys of
    s3backupconfig, folder= and region= for example."""
    lines = {"bucket_name": bucket, **({"endpoint": endpoint} if endpoint else {}), **more}
    if keys:
        lines.update(access_key=keys.access_key, secret_key=keys.secret_key)
    text = (f"services:\n  etcd:\n    backup_config:\n      interval_hours: {interval}\n"
            f"      retention: {retention}\n      s3backupconfig:\n")
    text += "".join(f"        {name}: \"{value}\"\n" for name, value in lines.items())
    return text + (f"        custom_ca: |\n{indented(ca_text, 10)}" if ca_text else "")


class S3Case(Case):
    """`self.s3`: where the gateway is (rgw.Server); `self.api`: the tests' own client of the first
    account."""

    needs_s3 = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if reason := rgw.possible():
            raise unittest.SkipTest(reason)
        cls.s3 = rgw.shared()
        cls.api = cls.s3.api()

    def bucket(self, name=None, lock=False):
        """An empty bucket that goes with the test, and all that is in it."""
        name = name or f"t{os.getpid()}-{next(_numbers)}"
        self.api.create_bucket(name, lock=lock)
        self.addCleanup(self.api.remove_bucket, name, missing_ok=True)
        return name

    def use_s3(self, agent, bucket, endpoint=None, ca_text=None, dns=False, **more):
        """Sets the agent's policy; without an endpoint the gateway's over TLS. dns: the bucket becomes
        part of the host name. `more`: as of policy()."""
        if endpoint is None:
            endpoint = self.s3.dns_endpoint if dns else self.s3.tls_endpoint
            ca_text = ca_text or self.s3.ca_text
        if dns:
            agent.names.update({rgw.DOMAIN: "127.0.0.1", f"{bucket}.{rgw.DOMAIN}": "127.0.0.1"})
        agent.section("s3").setdefault("lookup", "dns" if dns else "path")
        agent.policy = policy(bucket, endpoint, ca_text=ca_text, **more)
        return agent

    def weather(self, tls=None, alone=False):
        """In front of the gateway; `alone`: without one. Fails the test for what broke in it."""
        weather = s3_weather.Weather(None if alone else self.s3.port, tls)
        self.addCleanup(self.fair, weather)
        self.addCleanup(weather.stop)
        return weather

    def proxy(self, **options):
        proxy = web_proxy.ForwardProxy(**options)
        self.addCleanup(self.fair, proxy)
        self.addCleanup(proxy.stop)
        return proxy

    def pki(self):
        """A CA of the test's own, whose server certificate is good for the gateway's names too."""
        return pki.Pki(self.path("pki"), names=(rgw.DOMAIN, "*." + rgw.DOMAIN))

    def fair(self, fake):
        self.assertEqual(fake.failures, [])
