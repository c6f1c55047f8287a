"""Changes fixture trees at random and compares both pages; see `mutate`, which calls it."""

import http.client
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time

AGENT, EXPORTER, FIXTURES, ARCHIVE, FOLDER, ROUNDS, SEED, PATTERN = sys.argv[1:]
COLLECTORS = (
    "arp bcache bcachefs bonding btrfs conntrack cpu cpufreq diskstats dmi edac entropy fibrechannel filefd"
    " filesystem hwmon infiniband ipvs kernel_hung loadavg mdadm meminfo netclass netdev netstat nfs nfsd nvme os"
    " powersupplyclass pressure rapl schedstat selinux sockstat softnet stat tapestats textfile thermal_zone time"
    " timex udp_queues uname vmstat watchdog xfs zfs cgroups processes"
).split()
# Of the machine and the moment, and of the reader.
MOVING = (
    "node_time_seconds", "node_timex_", "node_scrape_collector_duration", "node_filefd_allocated", "node_exporter_",
    "node_uname", "node_filesystem_avail", "node_filesystem_free", "node_filesystem_files_free",
)
# What the families of a collector begin with, where that is not its name.
PREFIX = {
    "conntrack": "nf_conntrack", "diskstats": "disk", "ipvs": "ipvs", "mdadm": "md", "meminfo": "memory",
    "netclass": "network", "netdev": "network", "powersupplyclass": "power_supply", "stat": "", "thermal_zone": "",
    "udp_queues": "udp",
}
NUMBERS = [
    b"18446744073709551615", b"18446744073709551616", b"9223372036854775808", b"-1", b"0", b"3.7", b"0x10", b"max",
    b"007", b"+5", b"", b"1e3", b"NaN", b"9007199254740993", b"123456789012345678901234567890", b"4294967296",
    b"-9223372036854775808", b"unlimited", b"1_000", b"Inf", b"0b11", b" 7", b"12kB",
]
SIGNS = [b'"', b"\\", b"\xc3\xa4", b"\xff", b"\t", b" ", b":", b"\0", b"%", b"{", b",", b"\r", b"/", b"\n"]
NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1664039048 1566805    1    2    3     4          5         6 1664039048 1566805    7    8    9    10       11          12
"""


def unpack(archive, into):
    """Their archive of text: a line of what follows, for files the number of their lines and the lines."""
    lines = iter(open(archive, "rb").read().split(b"\n"))
    path = None
    for line in lines:
        found = re.match(rb"(Path|Directory|SymlinkTo|Lines): (.*)$", line)
        if not found:
            continue
        word, value = found.group(1).decode(), os.fsdecode(found.group(2))
        if word == "Path":
            path = os.path.join(into, value)
        elif word == "Directory":
            os.makedirs(os.path.join(into, value), exist_ok=True)
        elif word == "SymlinkTo":
            os.symlink(value, path)
        else:
            content = [next(lines) for _ in range(int(value))]
            whole = b"".join(text[:-3] if text.endswith(b"EOF") else text + b"\n" for text in content)
            with open(path, "wb") as out:
                out.write(whole.replace(b"NULLBYTE", b"\0"))


def bases():
    node, procfs = f"{FOLDER}/node", f"{FOLDER}/procfs"
    shutil.copytree(FIXTURES, node, symlinks=True)
    subprocess.run(["chmod", "-R", "u+w", node], check=True)
    for archive in ("sys.ttar", "udev.ttar"):
        unpack(f"{FIXTURES}/{archive}", node)
    with open(f"{node}/proc/net/dev", "w") as out:
        out.write(NET_DEV)
    os.makedirs(procfs)
    unpack(ARCHIVE, procfs)
    return [node, f"{procfs}/fixtures"]


def change(rng, tree, files):
    """Changes one file or folder; what was done, or None."""
    file = rng.choice(files)
    path = os.path.join(tree, file)
    if not os.path.isfile(path):
        return None
    content = open(path, "rb").read()
    lines = content.split(b"\n")
    line = rng.randrange(len(lines))
    kind = rng.randrange(12)
    if kind == 0:
        os.remove(path)
        return f"{file}: removed"
    if kind == 1:
        folder = os.path.dirname(path)
        copy = os.path.join(os.path.dirname(folder), rng.choice(['x"y', "a\\b", "\u00e4", "new1", "zz-9", "card9", "0"]))
        if folder.endswith(("/proc", "/sys", "/net")) or os.path.lexists(copy):
            return None
        shutil.copytree(folder, copy, symlinks=True)
        return f"{os.path.dirname(file)}: copied as {os.path.basename(copy)}"
    if kind == 2:
        lines, done = [b""], "emptied"
    elif kind == 3:
        lines, done = lines[:line] + [lines[line]] + lines[line:], f"line {line + 1} doubled"
    elif kind == 4:
        lines, done = lines[:line] + lines[line + 1:], f"line {line + 1} dropped"
    elif kind in (5, 6, 7):
        numbers = list(re.finditer(rb"\d+", content))
        if not numbers:
            return None
        at, value = rng.choice(numbers), rng.choice(NUMBERS)
        lines, done = [content[: at.start()] + value + content[at.end():]], f"{at.group()} at {at.start()} now {value}"
    elif kind == 8:
        cut = rng.randrange(len(content) + 1)
        lines, done = [content[:cut]], f"cut at {cut}"
    elif kind == 9:
        end = rng.choice([b"", b"\n\n", b" \n", b"\r\n", b"\n \n"])
        lines, done = [content.rstrip(b"\n") + end], f"ends with {end}"
    elif kind == 10:
        at, sign = rng.randrange(len(content) + 1), rng.choice(SIGNS)
        lines, done = [content[:at] + sign + content[at:]], f"{sign} at {at}"
    else:
        fields = lines[line].split()
        if not fields:
            return None
        if rng.random() < 0.5:
            del fields[rng.randrange(len(fields))]
        else:
            fields.append(b"17")
        lines[line], done = b" ".join(fields), f"line {line + 1} now has {len(fields)} fields"
    with open(path, "wb") as out:
        out.write(b"\n".join(lines))
    return f"{file}: {done}"


def free():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def page(port, process):
    for _ in range(600):
        if process.poll() is not None:
            return None
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode("utf8", "replace")
        except (ConnectionError, http.client.HTTPException):
            time.sleep(0.05)
    return None


def read(text):
    out = {}
    for line in text.splitlines():
        if line.startswith("# "):
            _, word, family, rest = line.split(" ", 3)
            out[f"{word} {family}"] = rest
        elif line:
            series, _, value = line.rpartition(" ")
            out[series] = value
    shared = {"HELP", "TYPE"}
    name = lambda key: key.split(" ", 1)[1] if key.split(" ", 1)[0] in shared else key
    return {key: value for key, value in out.items() if name(key).startswith("node_") and not name(key).startswith(MOVING)}


def both(tree):
    """Both pages of a tree; None of one that has broken down."""
    ours, theirs = free(), free()
    with open(f"{FOLDER}/agent.yaml", "w") as out:
        out.write(
            f"version: 2\nlisten: 127.0.0.1:{ours}\nadmin: {{socket: {FOLDER}/socket}}\nroots:\n  proc: {tree}/proc\n"
            f"  sys: {tree}/sys\n  root: {tree}\n  udevData: {tree}/udev/data\n"
            "collectors:\n  enable: [cgroups, processes]\n"
        )
    flags = [f"--collector.{name}" for name in COLLECTORS] + [
        f"--web.listen-address=127.0.0.1:{theirs}", "--web.disable-exporter-metrics", "--collector.disable-defaults",
        f"--path.procfs={tree}/proc", f"--path.sysfs={tree}/sys", f"--path.rootfs={tree}",
        f"--path.udev.data={tree}/udev/data", "--no-collector.netdev.netlink", "--no-collector.arp.netlink",
        "--collector.textfile.directory=",
    ]
    with open(f"{FOLDER}/log", "w") as log:
        running = [
            subprocess.Popen(command, stdout=log, stderr=log)
            for command in ([AGENT, "run", "--config", f"{FOLDER}/agent.yaml"], [EXPORTER, *flags])
        ]
        pages = [page(port, process) for port, process in zip((ours, theirs), running)]
        for process in running:
            process.kill()
            process.wait()
    return pages


def differences(ours, theirs):
    ours, theirs = read(ours), read(theirs)
    failed = lambda pages, name: pages.get(f'node_scrape_collector_success{{collector="{name}"}}') == "0"
    partly = [f"node_{PREFIX.get(name, name)}" for name in COLLECTORS if failed(ours, name) and failed(theirs, name)]
    # First which collectors fail on one side only.
    for key in sorted({*ours, *theirs}, key=lambda key: (not key.startswith("node_scrape_collector_success"), key)):
        name = key.split(" ")[-1] if key.startswith(("HELP", "TYPE")) else key
        if ours.get(key) != theirs.get(key) and not (key not in ours and name.startswith(tuple(partly))):
            yield f"{key}: ours {ours.get(key)}, theirs {theirs.get(key)}"


def main():
    trees, different, broken = bases(), 0, 0
    for seed in range(int(SEED), int(SEED) + int(ROUNDS)):
        rng = random.Random(seed)
        base, tree = trees[seed % 2], f"{FOLDER}/tree"
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(base, tree, symlinks=True)
        files = sorted(
            os.path.relpath(os.path.join(folder, name), tree)
            for below in ("proc", "sys", "udev")
            for folder, _, names in os.walk(os.path.join(tree, below))
            for name in names
            if not os.path.islink(os.path.join(folder, name))
        )
        files = [name for name in files if re.search(PATTERN, name)]
        done = []
        while len(done) < 5:
            done.extend(filter(None, [change(rng, tree, files)]))
        ours, theirs = both(tree)
        if ours is None:
            different += 1
            print(f"seed {seed}: OURS HAS BROKEN DOWN: {'; '.join(done)}")
        elif theirs is None:
            broken += 1
            print(f"seed {seed}: node_exporter has broken down: {'; '.join(done)}")
        elif found := list(differences(ours, theirs)):
            different += 1
            print(f"seed {seed}: {'; '.join(done)}")
            print("".join(f"  {line}\n" for line in found[:8]) + (f"  and {len(found) - 8} more" if found[8:] else ""))
        sys.stdout.flush()
    print(f"{ROUNDS} trees from seed {SEED}: {different} differ, on {broken} node_exporter has broken down")


main()
