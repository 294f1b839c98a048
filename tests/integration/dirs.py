"""Small file systems of their own, for full and read-only disks. Needs root and mount."""
import errno
import os
import subprocess


class SmallDisk:
    """A tmpfs of `size_mib` at `path`."""

    def __init__(self, path, size_mib):
        self.path = path
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0700", "tmpfs", path],
                       check=True, timeout=20, stderr=subprocess.PIPE)

    def read_only(self, on=True):
        subprocess.run(["mount", "-o", "remount," + ("ro" if on else "rw"), self.path], check=True, timeout=20)

    def free_bytes(self):
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize

    def fill(self, leave_bytes=0, name="filler"):
        """Takes the free space up with a file, also against others who write; returns its path."""
        path = os.path.join(self.path, name)
        with open(path, "wb", buffering=0) as out:
            while (left := self.free_bytes() - leave_bytes) > 0:
                try:
                    out.write(bytes(min(left, 256 << 10)))
                except OSError as failure:
                    if failure.errno != errno.ENOSPC:
                        raise
                    break
        return path

    def unmount(self):
        subprocess.run(["umount", "--lazy", self.path], check=False, timeout=20, stderr=subprocess.DEVNULL)


class Pinned:
    """A file that nobody can remove, not even root: something is mounted on it (unlink: EBUSY)."""

    def __init__(self, path):
        self.path = path
        subprocess.run(["mount", "--bind", path, path], check=True, timeout=20, stderr=subprocess.PIPE)

    def release(self):
        subprocess.run(["umount", "--lazy", self.path], check=False, timeout=20, stderr=subprocess.DEVNULL)


def possible():
    """None, or why small disks cannot be had here."""
    if os.geteuid() != 0:
        return "mounting needs root"
    done = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], timeout=20,
                          check=False, stderr=subprocess.PIPE, text=True)
    return None if done.returncode == 0 else "mount is not permitted here: " + done.stderr.strip()
