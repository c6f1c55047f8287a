"""Scrapes an agent by many clients at once and has others read it: accepted.py AGENT FOLDER PROMTOOL."""

import concurrent.futures
import gzip
import http.client
import http.server
import re
import socket
import subprocess
import sys
import threading
import time

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as text

AGENT, FOLDER, PROMTOOL = sys.argv[1:]
CLIENTS, SCRAPES = 8, 25
FORMATS = {
    "text/plain;version=0.0.4": text.text_string_to_metric_families,
    "application/openmetrics-text;version=1.0.0": openmetrics.text_string_to_metric_families,
}
# node_exporter's own names, which promtool finds no good names: camel case, and bits.
THEIRS = re.compile("node_(memory|netstat|entropy)_|node_.*(snake_case|bits)")


def free():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def fetch(port, path, accept):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"Accept": accept, "Accept-Encoding": "gzip"})
    reply = connection.getresponse()
    body = reply.read()
    assert reply.status == 200, (path, reply.status, body[:300])
    packed = reply.headers.get("Content-Encoding") == "gzip"
    assert packed or path != "/metrics", "it is not packed"
    return reply.headers["Content-Type"], (gzip.decompress(body) if packed else body).decode("utf8")


class Page(http.server.BaseHTTPRequestHandler):
    """An application with a bit of everything."""

    BODY = (
        b"# HELP seats_held Seats \\\\ \"held\".\n# TYPE seats_held gauge\nseats_held{class=\"e\\\"k\\\\s\\n\"} NaN\n"
        b"# TYPE took_seconds histogram\ntook_seconds_bucket{le=\"0.1\"} 1\ntook_seconds_bucket{le=\"+Inf\"} 2\n"
        b"took_seconds_sum 3.5\ntook_seconds_count 2\n"
    )

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(self.BODY)))
        self.end_headers()
        self.wfile.write(self.BODY)

    def log_message(self, *_):
        pass


def main():
    application = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=application.serve_forever, daemon=True).start()
    app, port = application.server_address[1], free()
    with open(f"{FOLDER}/agent.yaml", "w") as out:
        out.write(
            f"version: 2\nlisten: 127.0.0.1:{port}\nadmin: {{socket: {FOLDER}/socket}}\nstate: {FOLDER}/state\n"
            "collectors: {enable: [cgroups, containers, ethtool, processes, tcpstat]}\nsecurity: {}\n"
            f"applications: {{booking: {{url: 'http://127.0.0.1:{app}/'}}}}\n"
            f"probes: {{page: {{http: {{url: 'http://127.0.0.1:{app}/', preferredIpProtocol: ip4}}}}}}\n"
        )
    with open(f"{FOLDER}/log", "w") as log:
        agent = subprocess.Popen([AGENT, "run", "--config", f"{FOLDER}/agent.yaml"], stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                fetch(port, "/metrics", "")
                break
            except OSError:
                time.sleep(0.1)

        def client(number):
            samples = pages = 0
            for round_ in range(SCRAPES):
                path = ["/metrics", "/metrics", "/metrics", "/probe/page", "/metrics/app/booking"][(number + round_) % 5]
                accept = list(FORMATS)[round_ % 2] if path == "/metrics" else list(FORMATS)[0]
                kind, page = fetch(port, path, accept)
                assert kind.replace(" ", "").startswith(accept), (path, accept, kind)
                samples += sum(len(family.samples) for family in FORMATS[accept](page))
                pages += 1
            return pages, samples

        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            counts = list(pool.map(client, range(CLIENTS)))
        pages, samples = map(sum, zip(*counts))
        print(f"prometheus_client read {samples} samples on {pages} pages, {CLIENTS} clients at once")
        for path in ["/metrics", "/probe/page", "/metrics/app/booking"] if PROMTOOL else []:
            page = fetch(port, path, list(FORMATS)[0])[1]
            told = subprocess.run([PROMTOOL, "check", "metrics"], input=page, capture_output=True, text=True)
            lines = [line for line in (told.stdout + told.stderr).splitlines() if not THEIRS.match(line)]
            print(f"promtool check metrics, {path}: exit code {told.returncode}")
            for line in lines:
                print(f"  {line}")
    finally:
        agent.kill()
        agent.wait()


main()
