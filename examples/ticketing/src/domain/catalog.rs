//! The stations and routes that this railway serves. Distances and travel times are close to the
//! real lines; they only decide prices and arrival times.

/// A station: KAI's code and the name on the board.
pub const STATIONS: [(&str, &str); 10] = [
    ("GMR", "Gambir"),
    ("PSE", "Pasar Senen"),
    ("BD", "Bandung"),
    ("CN", "Cirebon"),
    ("PWT", "Purwokerto"),
    ("SMT", "Semarang Tawang"),
    ("YK", "Yogyakarta"),
    ("SLO", "Solo Balapan"),
    ("SBI", "Surabaya Pasarturi"),
    ("ML", "Malang"),
];

/// One line between two stations, served in both directions.
pub struct Line {
    pub ends: [&'static str; 2],
    pub km: u32,
    pub minutes: u32,
    /// The train's name; its number follows from line, direction and departure.
    pub name: &'static str,
}

const fn line(a: &'static str, b: &'static str, km: u32, minutes: u32, name: &'static str) -> Line {
    Line {
        ends: [a, b],
        km,
        minutes,
        name,
    }
}

pub const LINES: [Line; 12] = [
    line("GMR", "BD", 166, 165, "Parahyangan"),
    line("GMR", "CN", 219, 170, "Cirebon Ekspres"),
    line("GMR", "YK", 512, 380, "Taksaka"),
    line("GMR", "SMT", 445, 320, "Argo Muria"),
    line("GMR", "SLO", 572, 430, "Argo Lawu"),
    line("GMR", "SBI", 725, 490, "Argo Bromo Anggrek"),
    line("PSE", "PWT", 350, 310, "Sawunggalih"),
    line("PSE", "ML", 885, 800, "Jayabaya"),
    line("BD", "YK", 393, 430, "Lodaya"),
    line("BD", "SBI", 696, 600, "Harina"),
    line("YK", "SBI", 311, 250, "Sancaka"),
    line("SLO", "ML", 330, 320, "Malioboro Ekspres"),
];

/// First departure, last departure and the time between two, in minutes past midnight.
pub const FIRST_DEPARTURE: u32 = 5 * 60;
pub const LAST_DEPARTURE: u32 = 22 * 60;
pub const HEADWAY: u32 = 60;

/// Rupiah per kilometre.
pub const FARE_PER_KM: [(super::words::TrainClass, u64); 3] = [
    (super::words::TrainClass::Executive, 900),
    (super::words::TrainClass::Business, 620),
    (super::words::TrainClass::Economy, 400),
];
