//! Every text parser on bytes that nobody would write, and on real files with a few bytes changed or
//! cut off: each reads or refuses them, in no time and without a panic.

use proptest::prelude::*;

use super::nfs::Side;
use super::{
    arp, bcache, bcachefs, cgroup, cgroups, conntrack, ip_socket, ipvs, kstat, mdstat, netstat, nfs,
    os_release, pid_stat, pressure, prom_text, schedstat, sockstat, softnet, stat, xfs,
};

/// Pieces that the kernel's files are made of.
const SAMPLES: [&str; 14] = [
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
    "8:0 rbytes=90112 wbytes=0 rios=3 wios=1\nusage_usec 5\n1 (a) S 1 2 3\n",
];

fn all(text: &[u8]) {
    let _ = netstat::table(text, |_, _, _| ());
    let _ = netstat::list(text, |_, _, _, _| ());
    let _ = sockstat::parse(text, |_, _, _| ());
    let _ = softnet::parse(text);
    let _ = pressure::parse(text);
    let _ = schedstat::parse(text);
    let _ = arp::devices(text);
    let _ = ip_socket::parse(text, true, |_| ());
    let _ = ip_socket::parse(text, false, |_| ());
    let _ = mdstat::parse(text);
    let _ = ipvs::totals(text);
    let _ = ipvs::backends(text);
    let _ = nfs::parse(Side::Client, text);
    let _ = nfs::parse(Side::Server, text);
    let _ = kstat::parse(text, |_, _| ());
    let _ = kstat::pool_io(text, |_, _| ());
    let _ = conntrack::parse(text);
    let _ = xfs::parse(text);
    let _ = bcache::human(text);
    let _ = bcache::human_signed(text);
    let _ = bcache::writeback(text);
    let _ = bcache::priorities(text);
    let _ = bcachefs::table(text);
    let _ = bcachefs::errors(text);
    let _ = bcachefs::counter(text);
    let _ = bcachefs::sections(text, |line| (line == b"read:").then(|| Some(String::new())));
    let _ = cgroup::pairs(text, |_, _| ());
    let _ = cgroup::io_stat(text);
    let _ = cgroup::blkio(text, |_, _, _| ());
    let _ = cgroups::parse(text);
    let _ = os_release::parse(text);
    let _ = pid_stat::parse(text);
    let _ = prom_text::parse(text);
    let _ = stat::softirqs(text);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        all(&text);
    }

    #[test]
    fn spoiled_files_are_read_or_refused(
        pieces in proptest::collection::vec(0..SAMPLES.len(), 1..4),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut text: Vec<u8> = pieces.iter().flat_map(|at| SAMPLES[*at].bytes()).collect();
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        all(&text);
        text.truncate(cut.index(text.len()));
        all(&text);
    }
}
