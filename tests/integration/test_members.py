"""Which of several members a snapshot comes from: real clusters with a member that is cut off, or that learns."""
import json
import os
import signal

import etcd
import etcd35
from case import Case, wait_until


class Choice(Case):
    def state(self, agent):
        with open(os.path.join(agent.runtime, "state.json"), encoding="utf-8") as file:
            return json.load(file)

    def revision(self, result, agent, programs=etcd.HOST):
        archive = self.assertCreated(result, agent)
        return etcd.snapshot_status(programs, self.extract(archive, self.path("taken")))["revision"]

    def cut_off(self, lonely, others):
        """Gives every member another peer address while `lonely` stands still, which hears nothing of it."""
        lonely.process.send_signal(signal.SIGSTOP)
        first, second = others
        # What goes into a connection that is open waits for `lonely` there: the others open new ones, of which the
        # first change takes away the address.
        for member in others:
            member.stop(signal.SIGKILL)  # no leadership is offered to `lonely`
        for member in others:
            member.start([lonely, *others], wait=False)
        first.wait_healthy()
        identities = {name: identity for identity, _, name in
                      (line.split(", ")[:3] for line in first.ctl("member", "list").splitlines())}
        for member, asked in ((lonely, first), (second, first), (first, second)):
            member.peer_port = etcd.free_port()
            asked.ctl("member", "update", identities[member.name], "--peer-urls=" + member.peer_url)
            if member is lonely:
                continue
            member.stop()
            member.start([lonely, *others])
            asked.wait_healthy()
        lonely.process.send_signal(signal.SIGCONT)

    def test_a_member_that_is_cut_off_from_its_peers_is_passed_over(self):
        cluster = etcd.Cluster(self.tmp)
        self.addCleanup(cluster.stop)
        cluster.start()
        lonely, *others = cluster.members
        others[0].put("/before", "x")
        wait_until(lambda: lonely.contents("/before"), "the key to arrive")
        self.cut_off(lonely, others)
        for number in range(9):
            others[0].put(f"/after/{number}", "x")
        agent = self.agent([member.endpoint for member in cluster.members])
        agent.etcd["connect_timeout_s"] = 3
        result = agent.run()
        self.assertEqual(self.revision(result, agent), 11)
        self.assertSays(result, lonely.endpoint, "warning")
        self.assertLess(result.seconds, 20)
        self.assertEqual(self.state(agent)["cluster"], {"alarms": "", "reason": "", "learner": False})
        # Where there is no better one it is taken, and that is remembered.
        agent = self.agent(lonely.endpoint)
        result = agent.run()
        self.assertEqual(self.revision(result, agent), 2)
        self.assertTrue(self.state(agent)["cluster"]["reason"])

    def test_a_member_that_hangs_is_not_waited_for_long(self):
        cluster = etcd.Cluster(self.tmp)
        self.addCleanup(cluster.stop)
        cluster.start()
        alone, hung, dead = cluster.members
        alone.put("/key", "x")
        dead.stop(signal.SIGKILL)
        hung.process.send_signal(signal.SIGSTOP)
        self.addCleanup(hung.process.send_signal, signal.SIGCONT)
        agent = self.agent([hung.endpoint, alone.endpoint])
        agent.etcd["connect_timeout_s"] = 2
        result = agent.run()
        self.assertEqual(self.revision(result, agent), 2)
        self.assertSays(result, hung.endpoint, "warning")
        self.assertSays(result, "nothing is pruned", "warning")
        self.assertLess(result.seconds, 20)

    def with_learner(self, programs):
        voter = self.member(programs=programs)
        learner = etcd.Member(self.tmp, programs, name="learner")
        self.addCleanup(learner.stop)
        voter.put("/key", "x")
        voter.ctl("member", "add", "learner", "--learner", "--peer-urls=" + learner.peer_url)
        learner.start([voter, learner], wait=False, state="existing")
        learner.wait_listening()
        return voter, learner

    # etcd-io/etcd#12890
    def test_a_learner_that_refuses_its_snapshot_is_passed_over(self):
        voter, learner = self.with_learner(etcd.HOST)
        agent = self.agent([learner.endpoint, voter.endpoint])
        agent.etcd["retries"] = 2
        result = agent.run()
        self.assertEqual(self.revision(result, agent), 2)
        self.assertEqual(result.messages("error"), [])
        self.assertFalse(self.state(agent)["cluster"]["learner"])
        agent = self.agent(learner.endpoint)
        agent.etcd["retries"] = 2
        result = agent.run()
        self.assertExit(result, 69)
        self.assertSays(result, "3.5", "error")
        self.assertEqual(result.named("Backup failed")[0].get("attempt"), None, str(result))

    def test_a_learner_of_3_5_is_taken_where_there_is_no_voter(self):
        programs = etcd35.programs()
        voter, learner = self.with_learner(programs)
        agent = self.agent([learner.endpoint, voter.endpoint])
        result = agent.run()
        self.assertEqual(self.revision(result, agent, programs), 2)
        self.assertFalse(self.state(agent)["cluster"]["learner"])
        agent = self.agent(learner.endpoint)
        before = self.old_snapshots(agent)
        result = agent.run()
        self.assertCreated(result, agent)
        self.assertSays(result, "learner", "warning")
        self.assertFalse(result.says("unhealthy"), str(result))
        self.assertTrue(self.state(agent)["cluster"]["learner"])
        self.assertLessEqual(set(before), set(self.snapshots_in(agent)))
