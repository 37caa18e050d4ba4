//! The metrics of the process itself, under the names that dashboards for any program read. They come from Linux's
//! `/proc`; other systems have none.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::param::clock_ticks_per_second;

/// Reads the use of the process whenever the metrics are requested.
#[derive(Debug)]
pub(crate) struct ProcessUsage;

impl Collector for ProcessUsage {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(seconds) = cpu_seconds(&read("stat"), clock_ticks_per_second()) {
            let metric = ConstCounter::new(seconds);
            let help = "CPU time of the process, of users and of the kernel";
            let encoder =
                encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), metric.metric_type())?;
            metric.encode(encoder)?;
        }
        let status = read("status");
        let gauges = [
            ("process_resident_memory", "Memory of the process", Some(Unit::Bytes), resident_bytes(&status)),
            ("process_threads", "Threads of the process", None, field(&status, "Threads:")),
            ("process_open_fds", "Open file descriptors of the process", None, open_files()),
        ];
        for (name, help, unit, value) in gauges {
            let Some(value) = value else { continue };
            let metric = ConstGauge::new(value);
            let encoder = encoder.encode_descriptor(name, help, unit.as_ref(), metric.metric_type())?;
            metric.encode(encoder)?;
        }
        Ok(())
    }
}

/// A file about this process, or nothing.
fn read(name: &str) -> String {
    fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default()
}

/// The sum of `utime` and `stime`, the 14th and 15th fields of `/proc/self/stat` (proc(5)). The second field is the
/// program's name in parentheses, which may contain spaces.
fn cpu_seconds(stat: &str, ticks_per_second: u64) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    let ticks = [ticks.next()?.ok()?, ticks.next()?.ok()?];
    let per_second = u32::try_from(ticks_per_second).ok().filter(|ticks| *ticks > 0)?;
    Some(ticks.map(f64::from).iter().sum::<f64>() / f64::from(per_second))
}

fn resident_bytes(status: &str) -> Option<i64> {
    field(status, "VmRSS:")?.checked_mul(1024)
}

/// A number of `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<i64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<i64> {
    i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_texts_of_linux() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 7 7 20 0 9 0 100 1 1";
        assert_eq!(cpu_seconds(stat, 100), Some(2.0));
        assert_eq!(cpu_seconds(stat, 0), None);
        assert_eq!(cpu_seconds("", 100), None);
        let status = "Name:\tquash\nVmRSS:\t    2048 kB\nThreads:\t9\n";
        assert_eq!((resident_bytes(status), field(status, "Threads:")), (Some(2 << 20), Some(9)));
        assert_eq!(resident_bytes("VmRSS:\t? kB\n"), None);
    }
}
