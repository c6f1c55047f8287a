"""Runs every case against blackbox_exporter and kai-agent: compare.py AGENT BLACKBOX FOLDER PATTERN."""

import concurrent.futures
import http.client
import json
import re
import socket
import subprocess
import sys
import time
import urllib.parse

from cases import Cases, modules

AGENT, BLACKBOX, FOLDER, PATTERN = sys.argv[1:]
# Values that differ from run to run.
TIMES = re.compile("duration_seconds|lookup_time_seconds")


def free():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def ask(port, path):
    for _ in range(100):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read().decode("utf8", "replace")
        except ConnectionError:
            time.sleep(0.1)
    return None, "it does not answer"


def read(page):
    """Help and type by family, and value by series."""
    heads, series = {}, {}
    for line in page.splitlines():
        if line.startswith("# "):
            _, what, family, text = line.split(" ", 3)
            heads[f"{what} {family}"] = text
        elif line:
            name, _, value = line.rpartition(" ")
            series[name] = "a time" if TIMES.search(name) else value
    return {**heads, **series}


def main():
    server = subprocess.Popen([f"{FOLDER}/server", FOLDER], stdout=subprocess.PIPE, text=True)
    ports = [int(port) for port in server.stdout.readline().split()]
    cases = {case: all_ for case, all_ in Cases(FOLDER, ports).items() if re.search(PATTERN, case)}
    their_port, our_port = free(), free()
    with open(f"{FOLDER}/blackbox.yml", "w") as into:
        into.write(modules(cases))
    probes = {case: {**probe, "timeoutMs": 2000} for case, (_, _, _, probe) in cases.items()}
    config = {"version": 2, "listen": f"127.0.0.1:{our_port}", "admin": {"socket": f"{FOLDER}/socket"}, "probes": probes}
    with open(f"{FOLDER}/agent.yaml", "w") as into:
        json.dump(config, into)
    logs = open(f"{FOLDER}/logs", "w")
    running = [server]
    try:
        for command in [
            [BLACKBOX, f"--config.file={FOLDER}/blackbox.yml", f"--web.listen-address=127.0.0.1:{their_port}"],
            [AGENT, "run", "--config", f"{FOLDER}/agent.yaml"],
        ]:
            running.append(subprocess.Popen(command, stdout=logs, stderr=subprocess.STDOUT))

        def both(case):
            target = urllib.parse.quote(cases[case][1], safe="")
            return ask(their_port, f"/probe?module={case}&target={target}"), ask(our_port, f"/probe/{case}")

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = dict(zip(cases, pool.map(both, cases)))
    finally:
        for process in running:
            process.kill()
            process.wait()
    different, series = 0, 0
    for case, ((their_status, theirs), (our_status, ours)) in answers.items():
        if (their_status, our_status) != (200, 200):
            print(f"{case}: theirs {their_status}, ours {our_status}: {theirs[:200]} {ours[:200]}")
            different += 1
            continue
        theirs, ours = read(theirs), read(ours)
        series += len([name for name in theirs if not name.startswith(("HELP", "TYPE"))])
        wrong = [name for name in sorted({*theirs, *ours}) if theirs.get(name) != ours.get(name)]
        if wrong and case.startswith("known-"):
            print(f"{case}: known to differ")
        elif wrong:
            different += 1
            print(f"{case} ({cases[case][1]})")
            for name in wrong:
                print(f"  {name}: theirs {theirs.get(name)}, ours {ours.get(name)}")
    print(f"{len(answers)} cases, {series} series of theirs, {different} cases differ")
    sys.exit(1 if different else 0)


main()
