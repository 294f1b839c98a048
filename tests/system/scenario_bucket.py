"""The bucket from inside the sandbox: names, proxies, and keys that systemd hands over. What goes wrong there
costs no snapshot, and is said clearly."""
import os

from host import conf, cycle, drop_in, is_good, reload, write
from inside import DIRECTORY, check, interval, must, run, scenario, show, snapshots, start_etcd, write_policy
from web import Refusing

KEYS = "/etc/etcd-snapshot/"
SECRET = "wJalrXUtnFEMI0K7MDENG"


def main():
    start_etcd()
    names()
    proxies()
    credentials()


def policy(endpoint, keys=True):
    """A cluster.yml with a bucket there."""
    text = f"      s3backupconfig:\n        bucket_name: backups\n        region: eu-1\n        endpoint: {endpoint}\n"
    if keys:
        text += f"        access_key: AKIDPOLICY\n        secret_key: {SECRET}\n"
    write_policy(interval("12", text))
    os.chmod("/etc/etcd-snapshot/cluster.yml", 0o600)
    reload()


def safe(name):
    """A cycle whose bucket fails and whose snapshot is there."""
    before = snapshots()
    ended = cycle()
    added = [one for one in snapshots() if one not in before]
    check(f"{name}: the snapshot is safe, status 76", ended.code == 76 and len(added) == 1
          and is_good(f"{DIRECTORY}/{added[0]}"), ended)
    return ended


def names():
    policy("s3.nowhere.invalid")
    conf(s3={"retries": 0})
    ended = safe("a name that nobody knows")
    check("it says that the name is not found, and what to check", ended.says(
        "resolve host", "s3.nowhere.invalid", "hint=", "DNS"), ended)
    with Refusing() as bucket, open("/etc/hosts") as file:
        hosts = file.read()
        write("/etc/hosts", hosts + "127.0.0.1 s3.example.com\n")
        policy("http://s3.example.com:" + bucket.address.split(":")[1])
        safe("a name in /etc/hosts")
        check("is found in the sandbox", bucket.access_keys() == {"AKIDPOLICY"}, bucket.requests)
        write("/etc/hosts", hosts)


def proxies():
    policy("s3.nowhere.invalid")
    with Refusing(b"") as proxy:
        conf(s3={"retries": 0, "proxy": proxy.url})
        ended = safe("a proxy that refuses")
        check("the proxy was asked for the bucket alone", {request[:2] for request in proxy.requests} == {
            ("CONNECT", "s3.nowhere.invalid:443")}, proxy.requests)
        check("it says that it was the proxy", ended.says("the proxy " + proxy.address, "does not let the request"), ended)
    conf(s3={"retries": 0})
    with Refusing(b"") as proxy:
        drop_in(f"[Service]\nEnvironment=https_proxy={proxy.url}\n")
        ended = safe("a proxy of the environment")
        check("it was asked for the bucket alone, too", {request[:2] for request in proxy.requests} == {
            ("CONNECT", "s3.nowhere.invalid:443")}, proxy.requests)
    ended = safe("a proxy that is gone")
    check("it says that the proxy does not answer", ended.says("proxy", "hint="), ended)
    drop_in(None)


def credentials():
    """LoadCredential= and LoadCredentialEncrypted=: what the bucket was asked with tells whether they came."""
    for name, text in (("s3-access-key", "AKIDLOADED\n"), ("s3-secret-key", SECRET + "\n")):
        write(KEYS + name, text, 0o600)
    with Refusing() as bucket:
        policy(bucket.url, keys=False)
        conf(s3={"retries": 0})
        # Without any: the metadata service of a cloud is not there either.
        drop_in("[Service]\nEnvironment=AWS_EC2_METADATA_DISABLED=true\n")
        ended = safe("no keys at all")
        check("it says where keys were looked for", ended.says("CREDENTIALS_DIRECTORY", "access_key"), ended)
        check("nothing was asked unsigned", not bucket.requests, bucket.requests)

        drop_in(f"[Service]\nLoadCredential=s3-access-key:{KEYS}s3-access-key\n"
                f"LoadCredential=s3-secret-key:{KEYS}s3-secret-key\n")
        ended = safe("LoadCredential=")
        check("LoadCredential=: the bucket is asked with that key", bucket.access_keys() == {"AKIDLOADED"},
              (bucket.requests, str(ended)))
        check("LoadCredential=: the answer of the bucket is told", ended.says("AccessDenied", "hint="), ended)
        bucket.requests.clear()

        must("systemd-creds", "setup")
        for name, text in (("s3-access-key", "AKIDENCRYPTED"), ("s3-secret-key", SECRET)):
            write("/run/plain", text, 0o600)
            must("systemd-creds", "encrypt", "--with-key=host", "--name=" + name, "/run/plain", f"{KEYS}{name}.cred")
            os.unlink("/run/plain")
            os.unlink(KEYS + name)
        drop_in(f"[Service]\nLoadCredentialEncrypted=s3-access-key:{KEYS}s3-access-key.cred\n"
                f"LoadCredentialEncrypted=s3-secret-key:{KEYS}s3-secret-key.cred\n")
        ended = safe("LoadCredentialEncrypted=")
        check("LoadCredentialEncrypted=: the bucket is asked with that key",
              bucket.access_keys() == {"AKIDENCRYPTED"}, (bucket.requests, str(ended)))
        bucket.requests.clear()

        # A file that is gone: systemd refuses the start, and says which.
        os.unlink(KEYS + "s3-secret-key.cred")
        before = snapshots()
        failed = cycle()
        page = run("systemctl", "status", "etcd-snapshot.service").out
        check("a credential that is missing is named", failed.result != "success" and snapshots() == before
              and "CREDENTIALS" in page, page)
    drop_in(None)
    everything = must("journalctl", "--sync") + must("journalctl", "-q", "--no-pager", "-o", "export")
    check("the journal shows no key", SECRET not in everything and len(everything) > 10000)
    check("the cycles left no credential behind", not os.path.exists("/run/credentials/etcd-snapshot.service")
          and show("etcd-snapshot.service", "ActiveState") == "failed")


scenario(main)
