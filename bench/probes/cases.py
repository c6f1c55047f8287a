"""What is asked: for each case the module as blackbox_exporter has it, from which ours is made."""

import json
import struct

from servers import address, dns, name, raw, record, reply, talk

# Keys that are ours under another name.
NAMES = {"insecure_skip_verify": "dangerousInsecureSkipVerify"}


def camel(key):
    if key in NAMES:
        return NAMES[key]
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)


def ours(value):
    if isinstance(value, dict):
        return {camel(key): ours(inner) for key, inner in value.items()}
    return [ours(inner) for inner in value] if isinstance(value, list) else value


class Cases(dict):
    """By name: (prober, target, module, our probe)."""

    def __init__(self, folder, ports):
        super().__init__()
        self.folder = folder
        plain, good, expired, alone, old = ports
        self.ca = {"ca_file": f"{folder}/ca.pem"}
        self.plain, self.tls = f"http://127.0.0.1:{plain}", f"https://localhost:{good}"
        self.http_cases()
        self.tls_cases(plain, good, expired, alone, old)
        self.odd_answers(plain)
        self.tcp_cases(good, expired, old, plain)
        self.icmp_cases()
        self.dns_cases()
        self.dns_records()

    def put(self, case, prober, target, module, more=(), left_out=()):
        module = {"preferred_ip_protocol": "ip4", **module}
        probe = ours({key: value for key, value in module.items() if key not in left_out})
        probe.update(more)
        if "bodySizeLimit" in probe:
            probe["bodySizeLimit"] = int(probe["bodySizeLimit"].rstrip("B"))
        self[case] = (prober, target, module, {prober: probe})

    def secret(self, text):
        file = f"{self.folder}/secret-{text}"
        with open(file, "w") as into:
            into.write(text)
        return file

    def http(self, case, url, **module):
        more = {"url": url}
        if "headers" in module:
            more["headers"] = module["headers"]
        if "tls_config" in module:
            more["tls"] = ours(module["tls_config"])
        if "basic_auth" in module:
            user = module["basic_auth"]
            file = self.secret(user["password"])
            more["auth"] = {"basic": {"username": user["username"], "passwordFile": file}}
        if "authorization" in module:
            more["auth"] = {"tokenFile": self.secret(module["authorization"]["credentials"])}
        apart = ("headers", "tls_config", "basic_auth", "authorization")
        self.put(case, "http", url, module, more, apart)

    def http_cases(self):
        http, plain, tls = self.http, self.plain, self.tls
        for path in (
            "ok empty 204 304 404 500 modified yesterday chunks redirect redirect3 loop nowhere ftp bad headers"
            " big cookie echo"
        ).split():
            http(f"plain-{path}", f"{plain}/{path}")
        http("follow-not", f"{plain}/redirect", follow_redirects=False)
        http("follow-not-302", f"{plain}/redirect", follow_redirects=False, valid_status_codes=[302])
        http("follow-not-body", f"{plain}/redirect", follow_redirects=False, valid_status_codes=[302],
             fail_if_body_not_matches_regexp=["x"])
        http("status-404", f"{plain}/404", valid_status_codes=[404, 200])
        http("auth-basic", f"{plain}/echo", basic_auth={"username": "u", "password": "p"},
             fail_if_body_not_matches_regexp=["Basic dTpw"])
        http("auth-bearer", f"{plain}/echo", authorization={"credentials": "tok"},
             fail_if_body_not_matches_regexp=["Bearer tok"])
        http("post", f"{plain}/echo", method="POST", body='{"a":1}', fail_if_body_not_matches_regexp=["POST.*a.:1"])
        http("post-redirect", f"{plain}/redirect", method="POST", body="zz")
        http("head", f"{plain}/ok", method="HEAD")
        http("head-chunks", f"{plain}/chunks", method="HEAD")
        for case, path, key, pattern in [
            ("matches", "ok", "fail_if_body_matches_regexp", "wor"),
            ("matches-no", "ok", "fail_if_body_matches_regexp", "nope"),
            ("not", "ok", "fail_if_body_not_matches_regexp", "nope"),
            ("not-404", "404", "fail_if_body_not_matches_regexp", "nope"),
        ]:
            http(f"body-{case}", f"{plain}/{path}", **{key: [pattern]})
        for case, key, header, pattern, missing in [
            ("matches", "fail_if_header_matches", "X-Many", "two", False),
            ("not", "fail_if_header_not_matches", "X-Many", "two", False),
            ("not-three", "fail_if_header_not_matches", "X-Many", "three", False),
            ("missing", "fail_if_header_not_matches", "X-None", "three", False),
            ("missing-allowed", "fail_if_header_not_matches", "X-None", "three", True),
            ("matches-missing", "fail_if_header_matches", "X-None", "three", False),
        ]:
            rule = {"header": header, "regexp": pattern, "allow_missing": missing}
            http(f"header-{case}", f"{plain}/headers", **{key: [rule]})
        for case, path, how in [
            ("gzip", "gzip", "gzip"), ("wrong", "ok", "gzip"), ("deflate", "deflate", "deflate"),
            ("identity", "ok", "identity"), ("other", "gzip", "deflate"),
        ]:
            http(f"packed-{case}", f"{plain}/{path}", compression=how)
        http("packed-not-said", f"{plain}/gzip")
        http("packed-said", f"{plain}/gzip", compression="gzip", headers={"Accept-Encoding": "gzip"})
        for bytes_ in (1000, 4999, 5000):
            http(f"limit-{bytes_}", f"{plain}/big", body_size_limit=f"{bytes_}B")
        http("limit-packed", f"{plain}/gzip", compression="gzip", body_size_limit="100B")
        http("limit-body", f"{plain}/big", body_size_limit="1000B", fail_if_body_not_matches_regexp=["b+"])
        http("version-11", f"{plain}/ok", valid_http_versions=["HTTP/1.1"])
        http("version-2", f"{plain}/ok", valid_http_versions=["HTTP/2.0"])
        http("version-2-tls", f"{tls}/ok", valid_http_versions=["HTTP/2.0"], tls_config=self.ca)
        http("refused", "http://127.0.0.1:1/")
        http("no-name", "http://nosuch.invalid/")
        http("slow", f"{plain}/slow")
        http("ip6-only", f"{plain}/ok", preferred_ip_protocol="ip6", ip_protocol_fallback=False)
        http("ip6-first", f"{plain}/ok", preferred_ip_protocol="ip6")
        http("no-scheme", f"{plain}/ok".removeprefix("http://"))
        http("fragment", f"{plain}/ok?a=b&c=%20d#x")

    def tls_cases(self, plain, good, expired, alone, old):
        http, tls, ca = self.http, self.tls, self.ca
        for path in "ok empty 204 304 404 chunks redirect to-plain headers big gzip".split():
            http(f"tls-{path}", f"{tls}/{path}", tls_config=ca)
        for path in "ok empty chunks redirect".split():
            http(f"tls-http1-{path}", f"{tls}/{path}", tls_config=ca, enable_http2=False)
        http("tls-12", f"https://localhost:{old}/ok", tls_config=ca)
        http("tls-head", f"{tls}/ok", method="HEAD", tls_config=ca)
        http("to-tls", f"http://localhost:{plain}/to-tls", tls_config=ca)
        http("tls-expired", f"https://localhost:{expired}/ok", tls_config=ca)
        http("tls-alone", f"https://localhost:{alone}/ok", tls_config=ca)
        http("tls-unverified", f"https://localhost:{alone}/ok", tls_config={"insecure_skip_verify": True})
        http("tls-trusted-itself", f"https://localhost:{alone}/ok", tls_config={"ca_file": f"{self.folder}/self.pem"})
        http("tls-name", f"{tls}/ok", tls_config={**ca, "server_name": "x.kai.example"})
        http("tls-name-wrong", f"{tls}/ok", tls_config={**ca, "server_name": "wrong.example"})
        http("tls-ip", f"https://127.0.0.1:{good}/ok", tls_config=ca)
        http("tls-host", f"{tls}/echo", tls_config=ca, headers={"Host": "y.kai.example", "X-A": "b"},
             fail_if_body_not_matches_regexp=["y.kai.example\\|.*\\|b"])
        http("ssl-refused", f"{tls}/ok", tls_config=ca, fail_if_ssl=True)
        http("ssl-wanted", f"{self.plain}/ok", fail_if_not_ssl=True)
        http("ssl-wanted-there", f"{tls}/ok", tls_config=ca, fail_if_not_ssl=True)
        http("tls-on-plain", f"https://127.0.0.1:{plain}/ok", tls_config=ca)
        http("plain-on-tls", f"http://localhost:{good}/ok")

    def odd_answers(self, plain):
        one = b"Content-Length: 1\r\n\r\nx"
        none = b"Content-Length: 0\r\n\r\n"
        ok = b"HTTP/1.1 200 OK\r\n"
        here = b"http://127.0.0.1:%d/ok" % plain
        for case, answer in {
            "http-10": b"HTTP/1.0 200 OK\r\n\r\nbody", "no-length": ok + b"Connection: close\r\n\r\nbody",
            "short": ok + b"Content-Length: 100\r\n\r\nbody", "long": ok + b"Content-Length: 2\r\n\r\nbodybody",
            "garbage": b"hello\r\n\r\n", "nothing": b"", "half": b"HTTP/1.1 200", "http-09": b"just text",
            "status-999": b"HTTP/1.1 999 Odd\r\n" + none, "status-101": b"HTTP/1.1 101 Switching\r\n\r\n",
            "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + ok + one,
            "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + one,
            "no-reason": b"HTTP/1.1 200\r\n" + one, "line-feeds": b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
            "bad-chunk": ok + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
            "length-twice": ok + b"Content-Length: 1\r\n" + one, "lengths": ok + b"Content-Length: 2\r\n" + one,
            "length-below-0": ok + b"Content-Length: -1\r\n\r\nx",
            "both-lengths": ok + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n1\r\na\r\n0\r\n\r\n",
            "not-utf8": ok + b"X-L: \xe4\xff\r\nContent-Length: 2\r\n\r\n\xe4\xff",
            "folded": ok + b"X-A: a\r\n b\r\n" + one, "blank-in-name": ok + b"Bad Header: x\r\n" + none,
            "long-header": ok + b"X-A: " + b"a" * 20000 + b"\r\n" + one,
            "many-headers": ok + b"".join(b"X-%d: a\r\n" % at for at in range(300)) + one,
            "modified-850": ok + b"Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT\r\n" + none,
            "modified-c": ok + b"Last-Modified: Sun Nov  6 08:49:37 1994\r\n" + none,
            "to-nothing": b"HTTP/1.1 302 Found\r\nLocation: \r\n" + none,
            "to-relative": b"HTTP/1.1 301 M\r\nLocation: //127.0.0.1:%d/ok\r\n" % plain + none,
            "status-300": b"HTTP/1.1 300 M\r\nLocation: " + here + b"\r\n" + none,
            "to-two": b"HTTP/1.1 302 M\r\nLocation: " + here + b"\r\nLocation: http://127.0.0.1:1/\r\n" + none,
        }.items():
            self.http(f"odd-{case}", raw(answer))
        cut = ok + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8b\x08\x00\x00"
        self.http("odd-packed-cut", raw(cut), compression="gzip")
        # Known to differ: hyper takes no other version in an HTTP/1 answer.
        self.http("known-version", raw(b"HTTP/1.2 200 OK\r\n" + none))

    def tcp(self, case, target, **module):
        self.put(case, "tcp", target, module, {"address": target})

    def tcp_cases(self, good, expired, old, plain):
        tcp, ca = self.tcp, self.ca

        def said(*script):
            return talk(self.folder, script)

        localhost = {**ca, "server_name": "localhost"}
        tcp("tcp", said(0.2))
        tcp("tcp-refused", "127.0.0.1:1")
        tcp("tcp-banner", said(b"SSH-2.0-OpenSSH_9.2\r\n", 1), query_response=[{"expect": "^SSH-2.0-"}])
        tcp("tcp-banner-other", said(b"220 x\r\n"), query_response=[{"expect": "^SSH-2.0-"}])
        labels = [{"name": "version", "value": "${1}"}, {"name": "comments", "value": "${2}"}]
        tcp("tcp-labels", said(b"SSH-2.0-OpenSSH_9.2 Debian\r\n", 1),
            query_response=[{"expect": "^SSH-2.0-([^ -]+)(?: (.*))?$", "labels": labels}])
        tcp("tcp-irc", said(None, b":srv PING :abc\r\n", None, b":x 001 hi\r\n", 1), query_response=[
            {"send": "NICK a"}, {"expect": "PING :([^ ]+)", "send": "PONG ${1}"}, {"expect": "^:[^ ]+ 001"}])
        tcp("tcp-bytes", said(b"\x00\x01\x02ok", 1), query_response=[{"expect_bytes": "ok"}])
        tcp("tcp-bytes-other", said(b"\x00\x01"), query_response=[{"expect_bytes": "ok"}])
        tcp("tcp-closed", said(), query_response=[{"expect": "x"}])
        tcp("tcp-silent", said(5), query_response=[{"expect": "x"}])
        greeting = [{"expect": "^220"}, {"send": "EHLO p\r"}, {"expect": "^250-STARTTLS"}, {"send": "STARTTLS\r"},
                    {"expect": "^220"}, {"starttls": True}, {"send": "EHLO p\r"}, {"expect": "^250"}]
        tcp("tcp-starttls", said(b"220 x\r\n", None, b"250-x\r\n250-STARTTLS\r\n250 y\r\n", None, b"220 go\r\n",
                                 "tls", None, b"250 ok\r\n", 1), tls_config=localhost, query_response=greeting)
        tcp("tcp-starttls-not", said(b"220 x\r\n", b"nope"), tls_config=localhost,
            query_response=[{"expect": "^220"}, {"starttls": True}])
        tcp("tcp-tls", f"localhost:{good}", tls=True, tls_config=ca)
        tcp("tcp-tls-12", f"localhost:{old}", tls=True, tls_config=ca)
        tcp("tcp-tls-expired", f"localhost:{expired}", tls=True, tls_config=ca)
        tcp("tcp-tls-unverified", f"localhost:{expired}", tls=True, tls_config={"insecure_skip_verify": True})
        tcp("tcp-tls-on-plain", f"127.0.0.1:{plain}", tls=True, tls_config=ca)
        tcp("tcp-long-line", said(b"x" * 70000 + b"\n", 1), query_response=[{"expect": "^y"}])
        tcp("tcp-no-line-end", said(b"no newline at end", 0.1), query_response=[{"expect": "newline at end$"}])
        tcp("tcp-from", said(0.3), source_ip_address="127.0.0.1")
        tcp("tcp-from-other", said(0.3), source_ip_address="192.0.2.77")

    def icmp_cases(self):
        for case, host, module in [
            ("", "127.0.0.1", {}), ("-ttl", "127.0.0.1", {"ttl": 7}), ("-large", "127.0.0.1", {"payload_size": 1200}),
            ("-whole", "127.0.0.1", {"dont_fragment": True}), ("-nobody", "192.0.2.1", {}),
            ("-no-name", "nosuch.invalid", {}), ("-from", "127.0.0.1", {"source_ip_address": "127.0.0.1"}),
            ("-6", "::1", {"preferred_ip_protocol": "ip6"}),
        ]:
            self.put(f"icmp{case}", "icmp", host, module, {"host": host})

    def dns(self, case, make, host="127.0.0.1", tls=False, target=None, **module):
        target = target or f"{host}:{dns(make, self.folder if tls else None)}"
        module = {"query_name": "kai.example", "query_type": "A", **module}
        more = {"server": target}
        if "tls_config" in module:
            more["tlsConfig"] = ours(module["tls_config"])
        self.put(case, "dns", target, module, more, ("tls_config",))

    def dns_cases(self):
        dns, by_tcp = self.dns, {"transport_protocol": "tcp"}
        one, two = address("kai.example", "10.0.0.1"), address("kai.example", "10.0.0.2", 60)
        server = record("kai.example", 2, name("ns1.kai.example"))
        over_tls = {**by_tcp, "dns_over_tls": True, "tls_config": self.ca, "host": "localhost"}

        def good(question):
            return reply(question, [one, two], [server], [address("ns1.kai.example", "10.0.0.9")])

        def other(question):
            return b"zz" + reply(question, [two])[2:]

        dns("dns-udp", good)
        dns("dns-tcp", good, **by_tcp)
        dns("dns-tls", good, tls=True, **over_tls)
        dns("dns-tls-on-plain", good, **over_tls)
        for code in range(12):
            dns(f"dns-code-{code}", lambda q, code=code: reply(q, flags=0x8180 | code))
        dns("dns-codes", lambda q: reply(q, flags=0x8183), valid_rcodes=["NXDOMAIN", "NOERROR"])
        dns("dns-codes-other", lambda q: reply(q, flags=0x8182), valid_rcodes=["NXDOMAIN"])
        dns("dns-silent", lambda q: None)
        dns("dns-silent-tcp", lambda q: None, **by_tcp)
        dns("dns-id", other)
        dns("dns-id-then-ours", lambda q: [other(q), reply(q, [one])])
        dns("dns-id-tcp", other, **by_tcp)
        for case, make in {
            "short": lambda q: reply(q, [one])[:10], "truncated": lambda q: reply(q, [one], flags=0x8380),
            "cut": lambda q: reply(q, [one])[:-2], "truncated-cut": lambda q: reply(q, [one], flags=0x8380)[:-2],
            "counts": lambda q: reply(q, [one], counts=(1, 5, 0, 0)), "more": lambda q: reply(q, [one]) + b"trailing",
            "no-question": lambda q: reply(q, [one], echo=False), "question": lambda q: q, "empty": lambda q: b"",
            "other-question": lambda q: q[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + name("other.example")
            + b"\0\1\0\1" + one,
            "loop": lambda q: reply(q, [b"\xc0\x1d\0\1\0\1\0\0\0\0\0\4abcd"]),
            "loop-itself": lambda q: reply(q, [b"\xc0" + bytes([len(q)]) + b"\0\1\0\1\0\0\0\0\0\4abcd"]),
            "short-data": lambda q: reply(q, [name("kai.example") + struct.pack(">HHIH", 1, 1, 3, 3) + b"abc"]),
            "no-data": lambda q: reply(q, [name("kai.example") + struct.pack(">HHIH", 1, 1, 3, 0)]),
            "large": lambda q: reply(q, [address("kai.example", f"10.0.0.{at}") for at in range(60)]),
        }.items():
            dns(f"dns-{case}", make)
        many = [address("kai.example", f"10.0.{at // 256}.{at % 256}") for at in range(600)]
        dns("dns-large-tcp", lambda q: reply(q, many), **by_tcp)
        dns("dns-recursion-not", lambda q: reply(q, [one] if q[2] & 1 == 0 else [one, two]), recursion_desired=False)
        dns("dns-class", lambda q: reply(q, [one] if q[-2:] == b"\0\3" else []), query_class="CH", query_type="TXT")
        dns("dns-upper-case", lambda q: reply(q, [one]), query_name="KAI.example.")
        dns("dns-root", lambda q: reply(q, []), query_name=".", query_type="NS")
        dns("dns-any", lambda q: reply(q, [one]), query_type="ANY")
        dns("dns-aaaa", lambda q: reply(q, [one] if q[-4:-2] == b"\0\x1c" else []), query_type="AAAA")
        dns("dns-refused", None, target="127.0.0.1:1")
        dns("dns-no-name", None, target="nosuch.invalid")
        rules = [
            ("matches", [one, two], "fail_if_matches_regexp", ["10\\.0\\.0\\.1$"]),
            ("matches-not", [one], "fail_if_matches_regexp", ["nope"]),
            ("matches-none", [], "fail_if_matches_regexp", [".*"]),
            ("all", [one, two], "fail_if_all_match_regexp", ["10\\.0"]),
            ("all-not", [one, two], "fail_if_all_match_regexp", ["0\\.1$"]),
            ("all-none", [], "fail_if_all_match_regexp", ["x"]),
            ("not", [one, two], "fail_if_not_matches_regexp", ["10\\.0"]),
            ("not-one", [one, two], "fail_if_not_matches_regexp", ["0\\.1$"]),
            ("not-none", [], "fail_if_not_matches_regexp", ["x"]),
            ("text", [one], "fail_if_not_matches_regexp", ["kai\\.example\\.\\t300\\tIN\\tA\\t10\\.0\\.0\\.1"]),
            ("one", [one, two], "fail_if_none_matches_regexp", ["0\\.2$"]),
            ("one-not", [one, two], "fail_if_none_matches_regexp", ["0\\.3$"]),
            ("one-none", [], "fail_if_none_matches_regexp", ["x"]),
        ]
        for case, records, rule, patterns in rules:
            for section, at in [("answer", 0), ("authority", 1), ("additional", 2)]:
                sections = [[], [], []]
                sections[at] = records
                key = f"validate_{section}_rrs"
                dns(f"dns-{section}-{case}", lambda q, s=sections: reply(q, *s), **{key: {rule: patterns}})

    def dns_records(self):
        """Records of many types, with patterns for the text of those that are written out."""
        def soa(serial):
            names = name("ns1.kai.example") + name("root.kai.example")
            return record("kai.example", 6, names + struct.pack(">IIIII", serial, 7200, 3600, 1209600, 300))

        for case, sections in {"": [[soa(2026113001)]], "-none": [[]], "-authority": [[], [soa(5)]],
                               "-two": [[soa(9), soa(7)]]}.items():
            self.dns(f"dns-soa{case}", lambda q, s=sections: reply(q, *s), query_type="SOA")

        def words(*texts):
            return b"".join(bytes([len(text)]) + text for text in texts)

        for kind, data, text in [
            (28, bytes(range(16)), "1:203:405"), (28, b"\0" * 10 + b"\xff\xff\1\2\3\4", "1\\.2\\.3\\.4"),
            (5, name("y.kai.example"), "CNAME\\ty\\.kai\\.example\\.$"),
            (15, struct.pack(">H", 10) + name("mx.kai.example"), "MX\\t10 mx"),
            (16, words(b'v=spf1 "q" \\ \x00\xff;', b""), 'v=spf1 \\\\"q\\\\" '),
            (33, struct.pack(">HHH", 1, 2, 3) + name("srv.kai.example"), "SRV\\t1 2 3 srv"),
            (257, b"\0\5issueletsencrypt.org", 'CAA\\t0 issue "letsencrypt.org"'),
            (43, struct.pack(">HBB", 1, 8, 2) + b"\xab\xcd", "DS\\t1 8 2 ABCD"),
            (48, struct.pack(">HBB", 257, 3, 8) + b"keykey", "DNSKEY\\t257 3 8 a2V5a2V5"),
            (12, name("p.kai.example"), "PTR\\tp"), (13, words(b"cpu", b"os"), 'HINFO\\t"cpu" "os"'),
            (39, name("d.kai.example"), "DNAME\\td"), (65280, b"\1\2", "TYPE65280"), (41, b"", "."),
            (99, words(b"old"), "."), (44, b"\4\2" + b"\xbb" * 32, "."), (52, b"\3\1\1" + b"\xaa" * 32, "."),
            (35, struct.pack(">HH", 1, 2) + words(b"S", b"SIP+D2U", b"") + name("_sip.kai.example"), "."),
            (64, struct.pack(">H", 1) + name("svc.kai.example") + b"\0\1\0\3\2h2", "."),
            (46, struct.pack(">HBBIIIH", 1, 8, 2, 300, 1700000000, 1600000000, 1) + name("kai.example") + b"s", "."),
            (47, name("b.kai.example") + b"\0\1\x40", "."),
        ]:
            found = record("kai.example", kind, data)
            self.dns(f"dns-type-{kind}-{len(data)}", lambda q, r=found: reply(q, [r]), query_type="ANY",
                     validate_answer_rrs={"fail_if_not_matches_regexp": [text]})
        odd = record("a b.kai.example", 1, b"\1\2\3\4", family=3)
        self.dns("dns-blank-in-name", lambda q: reply(q, [odd]), query_type="ANY",
                 validate_answer_rrs={"fail_if_not_matches_regexp": ["^a\\\\ b\\.kai.*\\tCH\\tA\\t1"]})


def modules(cases):
    return json.dumps({"modules": {
        case: {"prober": prober, "timeout": "2s", prober: module} for case, (prober, _, module, _) in cases.items()
    }})
