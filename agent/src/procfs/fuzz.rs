//! Every parser as something that takes bytes and ends: for the fuzzer in `fuzz/`, and for the tests
//! below, which feed each of them bytes that nobody would write and the fixtures' files with a few
//! bytes changed or cut off.

use super::nfs::Side;
use super::{
    arp, bcache, bcachefs, cgroup, cgroups, clocksource, conntrack, cpufreq, cpulist, diskstats,
    filenr, inet_diag, ip_socket, ipvs, kstat, loadavg, mdstat, meminfo, mountinfo, net_dev,
    netlink, netstat, nfs, os_release, own_stat, pid_stat, pressure, prom_text, schedstat,
    sockstat, softnet, stat, udev, vmstat, xfs,
};
use crate::dbus::wire;
use crate::discovery::file_sd::{self, Form};
use crate::discovery::{annotations, wanted, yaml};
use crate::kubernetes::event::{Event, ListEnd};
use crate::kubernetes::pod::Pod;
use crate::kubernetes::split;
use crate::logs::{otlp, spool, syslog};
use crate::traces;
use kai_contract::agent_config::DiscoverPods;

/// A parser: its module and what of it, and the call. Nothing is made of what it returns.
pub type Entry = (&'static str, fn(&[u8]));

/// All of them.
pub const ENTRIES: &[Entry] = &[
    ("arp", |text| {
        drop(arp::devices(text));
    }),
    ("bcache human", |text| {
        let _ = bcache::human(text);
    }),
    ("bcache signed", |text| {
        let _ = bcache::human_signed(text);
    }),
    ("bcache writeback", |text| {
        drop(bcache::writeback(text));
    }),
    ("bcache priorities", |text| {
        drop(bcache::priorities(text));
    }),
    ("bcachefs table", |text| {
        drop((bcachefs::compression(text), bcachefs::writes(text)));
    }),
    ("bcachefs errors", |text| {
        drop(bcachefs::errors(text));
    }),
    ("cgroup blkio", |text| {
        drop(cgroup::blkio(text, |_, _, _| ()));
    }),
    ("cgroups", |text| {
        drop(cgroups::parse(text));
    }),
    ("clocksource", |text| {
        let _ = clocksource::available(text).count();
    }),
    ("conntrack", |text| {
        drop(conntrack::parse(text));
    }),
    ("cpufreq", |text| {
        drop((cpufreq::durations(text), cpufreq::transitions(text)));
    }),
    ("cpulist", |text| {
        drop(cpulist::parse(text));
    }),
    ("diskstats", |text| {
        drop(diskstats::parse(text, &mut Vec::new()));
    }),
    ("discovery file", |text| {
        for form in [Form::Json, Form::Yaml] {
            for group in file_sd::read(form, text).unwrap_or_default() {
                drop(wanted::of_group(&group, "file"));
            }
        }
    }),
    ("discovery yaml", |text| {
        drop(std::str::from_utf8(text).map(yaml::read));
    }),
    ("discovery annotations", |text| {
        // Lines of an annotation's name and value.
        let annotations = String::from_utf8_lossy(text);
        let annotations = annotations.lines().filter_map(|line| {
            let (name, value) = line.split_once(' ')?;
            Some((name.into(), value.into()))
        });
        let pod = Pod {
            annotations: annotations.take(64).collect(),
            ip: Some(std::net::Ipv4Addr::LOCALHOST.into()),
            running: true,
            ..Pod::default()
        };
        drop(annotations::of_pod(&pod, &DiscoverPods::default()));
    }),
    ("filenr", |text| {
        drop(filenr::parse(text));
    }),
    ("inet_diag", |text| {
        drop(inet_diag::parse(text, |_| ()));
    }),
    ("ip_socket tcp", |text| {
        drop(ip_socket::parse(text, false, |_| ()));
    }),
    ("ip_socket udp", |text| {
        drop(ip_socket::parse(text, true, |_| ()));
    }),
    ("ipvs totals", |text| {
        drop(ipvs::totals(text));
    }),
    ("ipvs backends", |text| {
        drop(ipvs::backends(text));
    }),
    ("kubernetes list", |text| {
        for item in split::whole(text).map_or_else(|_| Vec::new(), |(items, _)| items) {
            drop(Pod::read(&item));
        }
        drop(ListEnd::read(text));
    }),
    ("kubernetes event", |text| {
        drop(Event::read(text));
    }),
    ("kubernetes pod", |text| {
        drop(Pod::read(text));
    }),
    ("log path", |text| {
        let _ = crate::logs::pods::log_path(&String::from_utf8_lossy(text));
    }),
    ("kstat", |text| {
        drop(kstat::parse(text, |_, _| ()));
    }),
    ("kstat pool", |text| {
        drop(kstat::pool_io(text, |_, _| ()));
    }),
    ("journal export", |text| {
        let mut export = crate::logs::journal::export::Export::new(100);
        let message = crate::logs::journal::fields::Message {
            format: kai_contract::agent_config::LogFormat::Auto,
            pattern: None,
            zone: None,
        };
        let _ = export.push(text, |entry| {
            crate::logs::journal::fields::compose(entry, &message, &mut Vec::new());
            true
        });
    }),
    ("filebeat registry", |text| {
        let middle = text.len() / 2;
        drop(crate::filebeat::registry::read(
            Some((1, &text[..middle])),
            &text[middle..],
        ));
        drop(crate::filebeat::registry::read(None, text));
    }),
    ("container lines", |text| {
        use crate::logs::parse::container;
        drop((container::cri(text), container::docker(text)));
    }),
    ("loadavg", |text| {
        drop(loadavg::parse(text));
    }),
    ("mdstat", |text| {
        drop(mdstat::parse(text));
    }),
    ("meminfo", |text| {
        drop(meminfo::parse(text));
    }),
    ("mountinfo", |text| {
        drop(mountinfo::parse(text));
    }),
    ("mountinfo escapes", |text| {
        drop((mountinfo::unescape(text), mountinfo::label(text)));
    }),
    ("net_dev", |text| {
        drop(net_dev::parse(text, &mut Vec::new()));
    }),
    ("netlink", |text| {
        drop(netlink::parse(text, &mut Vec::new()));
    }),
    ("netstat table", |text| {
        drop(netstat::table(text, |_, _, _| ()));
    }),
    ("netstat list", |text| {
        drop(netstat::list(text, |_, _, _, _| ()));
    }),
    ("nfs client", |text| {
        drop(nfs::parse(Side::Client, text));
    }),
    ("nfs server", |text| {
        drop(nfs::parse(Side::Server, text));
    }),
    ("os_release", |text| {
        drop(os_release::parse(text));
    }),
    ("own_stat", |text| {
        drop(own_stat::parse(text));
    }),
    ("pid_stat", |text| {
        drop(pid_stat::parse(text));
    }),
    ("pressure", |text| {
        drop(pressure::parse(text));
    }),
    ("prom_text", |text| {
        drop(prom_text::parse(text));
    }),
    ("schedstat", |text| {
        drop(schedstat::parse(text));
    }),
    ("sockstat", |text| {
        drop(sockstat::parse(text, |_, _, _| ()));
    }),
    ("softnet", |text| {
        drop(softnet::parse(text));
    }),
    ("stat cpus", |text| {
        drop(stat::cpus(text, &mut Vec::new()));
    }),
    ("stat counters", |text| {
        drop(stat::counters(text));
    }),
    ("stat softirqs", |text| {
        drop(stat::softirqs(text));
    }),
    ("udev", |text| {
        let _ = udev::property(text, "ID_SERIAL");
    }),
    ("vmstat", |text| {
        drop(vmstat::parse(text, |_, _| ()));
    }),
    ("xfs", |text| {
        drop(xfs::parse(text));
    }),
    ("dbus", |text| {
        message(text);
    }),
    ("text numbers", |text| {
        numbers(text);
    }),
    ("spool record", |bytes| {
        spool::record::walk(bytes, |_, _, _| (), |_| ());
    }),
    ("spool segment", |bytes| {
        let _ = spool::segment::read_head(bytes);
    }),
    ("otlp logs", |bytes| {
        if traces::check_logs(bytes).is_ok() {
            let _ = otlp::decode::each(bytes, &mut |scope, record| {
                drop(otlp::document::shape(
                    scope,
                    record,
                    0,
                    100,
                    &std::collections::BTreeMap::new(),
                ));
            });
        }
    }),
    ("syslog frames", |bytes| {
        let mut framer = syslog::frame::Framer::new(100);
        let _ = framer.feed(bytes, |_| ());
        framer.end(|_| ());
    }),
    ("syslog kernel drops", |text| {
        let _ = syslog::kernel_drops::drops(text, 1);
    }),
];

fn message(bytes: &[u8]) {
    let _ = wire::length(bytes);
    if let Ok(message) = wire::parse(bytes) {
        let _ = message.variant();
        let _ = message.texts();
        let _ = message.rows(message.signature, |_| ());
    }
}

fn numbers(text: &[u8]) {
    use super::text::{any_base, any_base_unsigned, float, hex, number, quote, signed, valid};
    for field in super::text::fields(text) {
        let _ = (number(field), signed(field), any_base(field), hex(field));
        let _ = (
            any_base_unsigned(field),
            float(field),
            quote(field),
            valid(field),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    /// Pieces that the kernel's files are made of.
    const SAMPLES: [&str; 18] = [
        "TcpExt: A B\nTcpExt: 1 2\n",
        "TCP: inuse 4 orphan 0 tw 4 alloc 17 mem 1\n",
        "00049279 0 0 0 0 0 0 0 0 0 0 2 1\n",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
        "cpu0 0 0 0 0 0 0 12 7 8\n",
        "h\n10.0.0.1 0x1 0x2 52:54:00:12:34:56 * eth0\n",
        "h\n 1: 0100007F:1538 00000000:0000 0A 0:0 00:0 0 999 0 19012 1 0 9\n",
        "md0 : active raid1 sdb1[1] sda1[0]\n 1 blocks [2/2] [UU]\n recovery = 8% (1/2)\n",
        "TCP  C0A80016:0CEA wlc\n -> C0A85216:0CEA Tunnel 100 248 2\n",
        "net 1 2 3 4\nproc3 22 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22\n",
        "name type data\nhits 4 8772612\n",
        "rate: 1.1M/sec\nproportional: -427.5k\nUnused: 99%\n",
        "A=\"b\\u00e4\" # c\n# HELP m h\n# TYPE m histogram\nm_bucket{le=\"1\"} 1\n",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"uid\":\"u\",\"name\":\"n\",\"namespace\":\"s\"}}}",
        "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{\"metadata\":{\"uid\":\"u\"}}]}",
        "- targets: ['h:1', \"[::1]:9\"]\n  labels: {job: a, __metrics_path__: /x?y}\n",
        "prometheus.io/scrape true\nprometheus.io/port 9102\nprometheus.io/path /a?b\n",
        "8:0 rbytes=90112 wbytes=0 rios=3 wios=1\nusage_usec 5\n1 (a) S 1 2 3\n",
    ];

    /// As long as a mutated file may be, to keep the tests quick.
    const LONGEST: usize = 8 << 10;

    /// The fixtures' files.
    static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let mut files = Vec::new();
        let mut folders =
            vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/agent/fixtures/node")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let (path, kind) = entry
                    .map(|entry| (entry.path(), entry.file_type()))
                    .unwrap();
                if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) {
                    folders.push(path);
                } else if kind.is_ok_and(|kind| kind.is_file()) {
                    let mut text = std::fs::read(path).unwrap();
                    text.truncate(LONGEST);
                    files.push(text);
                }
            }
        }
        files.extend(SAMPLES.map(|text| text.as_bytes().to_vec()));
        files
    });

    fn all(text: &[u8]) {
        for (_, parse) in ENTRIES {
            parse(text);
        }
    }

    #[test]
    fn every_module_has_an_entry() {
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/procfs")).unwrap()
        {
            let path = entry.unwrap().path();
            let module = path.file_stem().unwrap().to_str().unwrap();
            // What the others share, what NFS' procedures are called, and this.
            let is_none = ["text", "nfs_methods", "fuzz"].contains(&module);
            let is_there = |(name, _): &Entry| name.split(' ').next() == Some(module);
            assert!(is_none || ENTRIES.iter().any(is_there), "{module}");
        }
    }

    #[test]
    fn every_fixture_is_read_or_refused_by_every_parser() {
        FILES.iter().for_each(|text| all(text));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            all(&text);
        }

        #[test]
        fn spoiled_files_are_read_or_refused(
            files in proptest::collection::vec(any::<prop::sample::Index>(), 1..3),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut text: Vec<u8> = files.iter().flat_map(|at| at.get(&FILES).clone()).collect();
            text.push(b'\n');
            for (at, byte) in changes {
                let at = at.index(text.len());
                text[at] = byte;
            }
            all(&text);
            text.truncate(cut.index(text.len()));
            all(&text);
        }
    }
}
