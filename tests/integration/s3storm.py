"""What a bad day with the bucket must leave behind: the snapshot here, proven, a message that says what
to do; and the first good day brings everything there."""
import itertools
import json
import os

from agent import POLICY
from s3hosts import BucketCase

_numbers = itertools.count(1)


class StormCase(BucketCase):
    def fresh_host(self, bucket, weather=None, **more):
        """With a directory of its own: one for each subtest."""
        host = self.host(bucket, weather, name=f"host{next(_numbers)}", **more)
        os.makedirs(host.directory, mode=0o700, exist_ok=True)
        return host

    def storm(self, host, error=(), hint=(), **options):
        """A cycle that does not get through to the bucket. Its one error holds all of these words."""
        result = host.cycle(**options)
        self.assertExit(result, 76)
        self.assertEqual(len(result.created), 1, str(result))
        self.assertSaid(result, error, hint)
        self.assertSafe(host, result)
        return result

    def assertSaid(self, result, error=(), hint=()):
        lines = [line for line in result.lines if line["level"] == "error"]
        self.assertEqual(len(lines), 1, str(result))
        line = lines[0]
        for field, words in (("error", error), ("hint", hint)):
            text = line.get(field, "")
            for word in (words,) if isinstance(words, str) else words:
                self.assertIn(word.lower(), text.lower(), f"in the {field}:\n{result}")
        self.assertTrue(line.get("hint"), f"nothing says what to do:\n{result}")

    def assertSafe(self, host, result):
        """The file here is whole, and known to be proven."""
        file, = [name for name in host.files if name.startswith(result.created[0])]
        if file.endswith(".zip"):
            self.shell("unzip", "-tqq", os.path.join(host.directory, file))
        policy, host.policy = host.policy, POLICY
        listed = host.run("list", "--json")
        host.policy = policy
        self.assertExit(listed, 0)
        proven = {row["file"]: row["proven"] for row in json.loads(listed.stdout)}
        self.assertTrue(proven[file], listed.stdout)

    def calm(self, host, bucket, folder="", taken=False, **options):
        """A good day: everything is there, once. taken: objects beside ours were to be expected."""
        result = host.cycle(**options)
        self.assertExit(result, 0)
        self.assertEqual(result.messages("error"), [], str(result))
        self.assertInBucket(host, bucket, host.files, folder)
        if not taken:
            self.assertEqual(self.api.keys_of(bucket), [folder + name for name in host.files])
        self.assertEqual(self.api.uploads(bucket), [])
        return result

    def survives(self, host, bucket, warnings=0):
        """One cycle that gets through all the same, with one object."""
        result = host.cycle()
        self.assertExit(result, 0)
        self.assertEqual(len(result.messages("warning")), warnings, str(result))
        self.assertEqual(len(result.named("Uploaded backup")), 1, str(result))
        self.assertEqual(len(host.files), 1)
        self.assertInBucket(host, bucket, host.files)
        self.assertEqual(self.api.keys_of(bucket), host.files)
        self.assertEqual(self.api.uploads(bucket), [])
        return result
