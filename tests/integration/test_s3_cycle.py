"""A cycle with a bucket: uploaded beside the stream, compared, pruned by the same policy."""
import s3api
from case import EXPIRED, SharedMember
from s3case import S3Case


class Cycle(S3Case, SharedMember):
    def test_uploads_lists_and_prunes(self):
        bucket = self.bucket()
        agent = self.use_s3(self.agent(), bucket, folder="p1")
        self.api.put(bucket, "p1/" + EXPIRED, b"old")
        self.api.put(bucket, "p11/" + EXPIRED, b"another's")
        self.api.put(bucket, "p1/notes.txt", b"notes")
        outcome = agent.run("run")
        print(outcome)
        self.assertEqual(outcome.code, 0, outcome)
        name = outcome.created[0] + ".zip"
        with open(f"{agent.directory}/{name}", "rb") as file:
            self.assertEqual(self.api.get(bucket, "p1/" + name), file.read())
        self.assertEqual(sorted(self.api.list(bucket)), sorted(["p1/" + name, "p1/notes.txt", "p11/" + EXPIRED]))
        for command in (["list"], ["list", "--json"], ["check"], ["prune", "--dry-run"], ["prune"]):
            print(agent.run(*command))
        print(agent.run("run"))
        print(agent.run("save", "--s3", "--name", "by hand"))
        print(agent.run("list"))
