"""What can be wrong between the agent and a real etcd: endpoints, TLS, certificates, a dying member."""
import os
import shutil
import signal
import socket
import tempfile

import etcd
import pki
from agent import binary
from case import Case, SharedMember, content, wait_until
from proxy import Proxy


class Endpoints(SharedMember):
    fill_bytes = 12 << 20

    def proxy(self, **options):
        proxy = Proxy(self.shared.port, **options)
        self.addCleanup(proxy.stop)
        return proxy

    def test_the_first_endpoint_is_dead_and_the_second_answers(self):
        dead = f"http://127.0.0.1:{etcd.free_port()}"
        agent = self.agent([dead, self.shared.endpoint])
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertEqual(result.messages("error"), [])

    def test_nobody_listens(self):
        dead = [f"http://127.0.0.1:{etcd.free_port()}" for _ in range(2)]
        agent = self.agent(dead)
        agent.etcd["retries"] = 2
        before = self.old_snapshots(agent)
        result = agent.run()
        self.assertExit(result, 69)
        self.assertAttempts(result, 3)
        for endpoint in dead:
            self.assertSays(result, endpoint)
        self.assertGreater(result.seconds, 1.9)
        self.assertUntouched(agent, before)

    def test_a_host_name_as_endpoint(self):
        agent = self.agent(f"http://localhost:{self.shared.port}")
        self.assertCreated(agent.run(), agent)

    def test_a_proxy_in_the_environment_is_not_for_etcd(self):
        dead = f"http://127.0.0.1:{etcd.free_port()}"
        agent = self.agent()
        environment = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"), dead)
        self.assertCreated(agent.run(env=environment), agent)

    def test_a_port_that_accepts_and_says_nothing(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(8)
            port = listener.getsockname()[1]
            for scheme in ("http", "https"):
                with self.subTest(scheme):
                    agent = self.agent(f"{scheme}://127.0.0.1:{port}")
                    agent.etcd.update(connect_timeout_s=2, stall_timeout_s=2)
                    result = agent.run(timeout_s=40)
                    self.assertExit(result, 69)
                    self.assertLess(result.seconds, 15)

    def test_connection_cut_in_the_middle(self):
        proxy = self.proxy(die_after=3 << 20)
        agent = self.agent(proxy.endpoint())
        before = self.old_snapshots(agent)
        result = agent.run()
        self.assertExit(result, 69)
        self.assertUntouched(agent, before)

    def test_connection_cut_once_and_the_next_attempt_succeeds(self):
        proxy = self.proxy(die_after=3 << 20, deaths=1)
        agent = self.agent(proxy.endpoint())
        agent.etcd["retries"] = 1
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertEqual([line["attempt"] for line in result.named("Backup failed")], ["1"])
        self.assertEqual(len(self.snapshots_in(agent)), 1)

    def test_a_slow_but_steady_stream_is_no_stall(self):
        proxy = self.proxy(bytes_per_s=3 << 20)
        agent = self.agent(proxy.endpoint())
        agent.etcd["stall_timeout_s"] = 2
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertGreater(result.seconds, 3)


class DyingMembers(Case):
    def test_member_killed_in_the_middle_of_the_stream(self):
        member = self.member()
        member.fill(16 << 20)
        proxy = Proxy(member.port, bytes_per_s=4 << 20)
        self.addCleanup(proxy.stop)
        agent = self.agent(proxy.endpoint())
        before = self.old_snapshots(agent)
        run = self.started(agent)
        self.partial(agent)
        member.stop(signal.SIGKILL)
        result = run.wait()
        self.assertExit(result, 65, 69)
        self.assertUntouched(agent, before)

    def test_member_frozen_in_the_middle_of_the_stream(self):
        member = self.member()
        member.fill(48 << 20)
        proxy = Proxy(member.port, bytes_per_s=4 << 20)
        self.addCleanup(proxy.stop)
        agent = self.agent(proxy.endpoint())
        agent.etcd["stall_timeout_s"] = 2
        before = self.old_snapshots(agent)
        run = self.started(agent)
        self.partial(agent)
        member.process.send_signal(signal.SIGSTOP)
        try:
            result = run.wait(60)
        finally:
            member.process.send_signal(signal.SIGCONT)
        self.assertExit(result, 69)
        self.assertUntouched(agent, before)

    def test_a_stream_that_stops_within_a_tls_record(self):
        authority = pki.Pki(self.path("pki"))
        member = self.member(tls=authority)
        member.fill(8 << 20)
        for hold_after in ((4 << 20) + 1, (4 << 20) + 4099):
            proxy = Proxy(member.port, hold_after=hold_after)
            self.addCleanup(proxy.stop)
            agent = self.agent(proxy.endpoint("https"))
            agent.use_tls(authority)
            agent.etcd["stall_timeout_s"] = 2
            before = self.old_snapshots(agent)
            result = agent.run(timeout_s=30)
            self.assertExit(result, 69)
            self.assertSays(result, "no byte moved for 2 seconds", "error")
            self.assertEqual(proxy.forwarded, hold_after)
            self.assertUntouched(agent, before)

    def test_without_quorum_it_is_snapshotted_with_a_warning_and_nothing_is_pruned(self):
        cluster = etcd.Cluster(self.tmp)
        self.addCleanup(cluster.stop)
        cluster.start()
        first = cluster.members[0]
        first.fill(2 << 20)
        agent = self.agent(first.endpoint)
        self.assertCreated(agent.run(), agent)
        before = self.old_snapshots(agent)
        for member in cluster.members[1:]:
            member.stop(signal.SIGKILL)
        wait_until(lambda: "true" not in first.log_tail() and self.loses_quorum(first), "the quorum to be lost", 30)
        result = agent.run()
        archive = self.assertCreated(result, agent)
        self.assertTrue(result.messages("warning"), str(result))
        after = content(agent.directory)
        self.assertEqual({name: after.get(name) for name in before}, before)
        status = etcd.snapshot_status(first.programs, self.extract(archive, self.path("taken")))
        self.assertEqual(status["revision"], 1 + 2)

    @staticmethod
    def loses_quorum(member):
        try:
            return member.request("GET", "/health").get("health") != "true"
        except (OSError, ValueError):
            return True

    def test_an_alarm_is_a_warning_and_nothing_is_pruned(self):
        member = self.member(quota_bytes=4 << 20)
        with self.assertRaises(ValueError):
            member.fill(12 << 20)
        self.assertIn("NOSPACE", member.ctl("alarm", "list"))
        agent = self.agent(member.endpoint)
        before = self.old_snapshots(agent)
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertSays(result, "NOSPACE", "warning")
        after = content(agent.directory)
        self.assertEqual({name: after.get(name) for name in before}, before)


class Certificates(Case):
    """Messages name the file and what is wrong with it."""

    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="es-it-class-")
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        cls.pki = pki.Pki(os.path.join(cls.root, "pki"))
        cls.expired = cls.pki.expired()
        cls.other_ca, cls.stranger = cls.pki.other_authority()
        cls.shared = etcd.Member(cls.root, tls=cls.pki)
        cls.addClassCleanup(cls.shared.stop)
        cls.shared.start()

    def refused(self, codes, texts, endpoint=None, **files):
        agent = self.agent(endpoint or self.shared.endpoint)
        agent.use_tls(self.pki)
        agent.etcd.update(files)
        agent.etcd.update(connect_timeout_s=3, stall_timeout_s=3)
        before = self.old_snapshots(agent)
        result = agent.run(timeout_s=30)
        self.assertExit(result, *codes)
        for text in texts:
            self.assertSays(result, text)
        self.assertUntouched(agent, before)
        return result

    def test_the_good_set_works(self):
        agent = self.agent(self.shared.endpoint)
        agent.use_tls(self.pki)
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertEqual(result.messages("warning"), [])

    def test_missing_certificate(self):
        self.refused((78,), ["/nowhere/client.pem", "No such file"], cert_file="/nowhere/client.pem")

    def test_missing_key(self):
        self.refused((78,), ["/nowhere/key.pem"], key_file="/nowhere/key.pem")

    def test_missing_ca(self):
        self.refused((78,), ["/nowhere/ca.pem"], ca_file="/nowhere/ca.pem")

    def test_certificate_that_is_none(self):
        path = self.write(self.path("garbage.pem"), "not a certificate\n")
        self.refused((78,), [path], cert_file=path)

    def test_ca_that_is_none(self):
        path = self.write(self.path("garbage.pem"), "")
        self.refused((78,), [path], ca_file=path)

    def test_key_that_is_a_directory(self):
        self.refused((78,), [self.tmp], key_file=self.tmp)

    def test_expired_certificate(self):
        self.refused((69, 78), [self.expired.cert, "2020-01-02"],
                     cert_file=self.expired.cert, key_file=self.expired.key)

    def test_certificate_of_another_ca(self):
        self.refused((69,), [self.stranger.cert], cert_file=self.stranger.cert, key_file=self.stranger.key)

    def test_server_of_another_ca(self):
        self.refused((69, 78), [self.other_ca], ca_file=self.other_ca)

    def test_key_of_another_certificate(self):
        pair = self.pki.mismatched()
        self.refused((78,), [pair.key], key_file=pair.key)

    def test_encrypted_key(self):
        pair = self.pki.encrypted()
        result = self.refused((78,), [pair.key], key_file=pair.key)
        self.assertTrue(result.says("pass") or result.says("encrypt"), str(result))

    def test_certificate_without_key_in_the_configuration(self):
        agent = self.agent(self.shared.endpoint)
        agent.use_tls(self.pki)
        del agent.etcd["key_file"]
        result = agent.run()
        self.assertExit(result, 78)
        self.assertSays(result, "key_file")

    def test_no_certificate_where_etcd_wants_one(self):
        agent = self.agent(self.shared.endpoint)
        agent.etcd["ca_file"] = self.pki.ca
        before = self.old_snapshots(agent)
        result = agent.run()
        self.assertExit(result, 69)
        self.assertSays(result, "cert_file", "error")
        self.assertFalse(result.says("errno") or result.says("getpeername"), str(result))
        self.assertUntouched(agent, before)

    def test_server_certificate_for_another_host(self):
        elsewhere = pki.Pki(self.path("pki"))
        elsewhere.server = elsewhere.elsewhere()
        member = etcd.Member(self.tmp, tls=elsewhere)
        self.addCleanup(member.stop)
        member.start(wait=False)

        def listening():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", member.port)) == 0
        wait_until(listening, "etcd to listen")
        agent = self.agent(member.endpoint)
        agent.use_tls(elsewhere)
        result = agent.run(timeout_s=30)
        self.assertExit(result, 69)
        self.assertSays(result, "127.0.0.1")

    def test_plain_http_to_a_tls_port(self):
        self.refused((69,), ["https://"], endpoint=self.shared.endpoint.replace("https", "http"))

    def test_https_to_a_plain_port(self):
        member = self.member()
        result = self.refused((69,), [member.endpoint.replace("http", "https")],
                              endpoint=member.endpoint.replace("http", "https"))
        self.assertSays(result, "TLS")

    def test_key_that_this_user_may_not_read(self):
        """As nobody: root may read everything. The binary may lie where nobody cannot go."""
        program = shutil.copy(binary(), self.path("etcd-snapshot"))
        agent = self.agent(self.shared.endpoint)
        agent.use_tls(self.pki)
        secret = self.write(self.path("secret-key.pem"), open(self.pki.client.key).read())
        agent.etcd["key_file"] = secret
        agent.write()
        for path in (self.tmp, agent.runtime, self.root, self.pki.root):
            os.chmod(path, 0o755)
        os.chmod(self.tmp, 0o777)
        os.chmod(agent.runtime, 0o777)
        os.chmod(agent.conf_file, 0o644)
        os.chmod(agent.cluster_file, 0o644)
        result = agent.run(write=False, program=program, user=65534, group=65534, extra_groups=[])
        self.assertExit(result, 78)
        self.assertSays(result, secret)
        self.assertSays(result, "Permission denied")
