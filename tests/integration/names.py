"""Host names of a single run: the agent gets an /etc/hosts of its own, in a mount namespace. The
machine's file stays as it is, and no name is asked of a name server. Needs root.
"""
import os

# hosts and nsswitch.conf are mounted over, then the program takes this process's place (and id).
SCRIPT = """mount --bind "$1" /etc/hosts || exit 125
if [ -e /etc/nsswitch.conf ]; then mount --bind "$2" /etc/nsswitch.conf || exit 125; fi
shift 2
exec "$@"
"""
NSSWITCH = "/etc/nsswitch.conf"


def command(folder, names, program):
    """`program` (a command) as it sees `names`: name -> address, besides localhost."""
    hosts, switch = os.path.join(folder, "hosts"), os.path.join(folder, "nsswitch.conf")
    with open(hosts, "w") as out:
        out.write("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in names.items()))
    lines = []
    if os.path.exists(NSSWITCH):
        with open(NSSWITCH) as current:
            lines = [line for line in current.read().splitlines() if not line.startswith("hosts:")]
    with open(switch, "w") as out:
        out.write("\n".join([*lines, "hosts: files"]) + "\n")
    os.chmod(hosts, 0o644)
    os.chmod(switch, 0o644)
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh", hosts, switch, *program]
