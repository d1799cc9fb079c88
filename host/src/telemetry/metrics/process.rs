//! The process, by the names that every exporter uses for it; from `/proc`.

use std::fs;
use std::time::SystemTime;

use super::text::{
    Exposition,
    Kind::{Counter, Gauge},
    unix_seconds,
};

/// Ticks of `/proc/PID/stat` a second: what the kernel shows to programs is fixed on every architecture that
/// WebAssembly is compiled for.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the kernel tells of a process; None: it did not.
#[derive(Debug, Default, PartialEq)]
struct Process {
    cpu_seconds: Option<f64>,
    start_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    open_files: Option<f64>,
    max_files: Option<f64>,
}

pub fn write(page: &mut Exposition) {
    let process = Process::read();
    page.family("process_cpu_seconds_total", Counter, "User and system time of the process.")
        .sample_if(&[], process.cpu_seconds);
    let gauges = [
        ("process_start_time_seconds", "When the process began.", process.start_seconds),
        ("process_resident_memory_bytes", "Memory of the process that is resident.", process.resident_bytes),
        ("process_virtual_memory_bytes", "Address space of the process.", process.virtual_bytes),
        ("process_open_fds", "Open file descriptors.", process.open_files),
        ("process_max_fds", "The most file descriptors that may be open.", process.max_files),
    ];
    for (name, help, value) in gauges {
        page.family(name, Gauge, help).sample_if(&[], value);
    }
}

impl Process {
    fn read() -> Process {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (stat, status) = (text("/proc/self/stat"), text("/proc/self/status"));
        Process {
            cpu_seconds: stat_field(&stat, 14).zip(stat_field(&stat, 15)).map(|(u, s)| (u + s) / TICKS_PER_SECOND),
            start_seconds: stat_field(&stat, 22)
                .zip(boot_seconds())
                .map(|(ticks, boot)| boot + ticks / TICKS_PER_SECOND),
            resident_bytes: status_bytes(&status, "VmRSS:"),
            virtual_bytes: status_bytes(&status, "VmSize:"),
            // One of them is this look.
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1) as f64),
            max_files: max_files(&text("/proc/self/limits")),
        }
    }
}

/// When the machine was started, in seconds since 1970. Not from `/proc/stat`, which a hardened service does not see.
fn boot_seconds() -> Option<f64> {
    let mut since_boot = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of our own, which the call fills.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut since_boot) } != 0;
    let since_boot = since_boot.tv_sec as f64 + since_boot.tv_nsec as f64 / 1e9;
    (!failed).then(|| unix_seconds(SystemTime::now()) - since_boot)
}

/// A field of `/proc/PID/stat` by its number in proc(5). The second one, the name, may hold anything.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn status_bytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kilobytes| kilobytes * 1_024.0)
}

/// None where there is no limit.
fn max_files(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name() {
        let stat = "7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 3 0 4200 5 6";
        assert_eq!(
            (stat_field(stat, 14), stat_field(stat, 15), stat_field(stat, 22)),
            (Some(250.0), Some(50.0), Some(4200.0))
        );
        assert_eq!(stat_field("", 14), None);
        assert_eq!(status_bytes("Name:\tx\nVmRSS:\t    12 kB\n", "VmRSS:"), Some(12_288.0));
        assert_eq!(status_bytes("", "VmRSS:"), None);
        assert_eq!(
            max_files("Max open files            1024                 4096                 files"),
            Some(1024.0)
        );
        assert_eq!(max_files("Max open files            unlimited            unlimited            files"), None);
    }

    #[test]
    fn this_process_is_known() {
        let process = Process::read();
        assert!(process.cpu_seconds.is_some_and(|seconds| seconds >= 0.0), "{process:?}");
        assert!(process.resident_bytes < process.virtual_bytes, "{process:?}");
        assert!(process.open_files.is_some_and(|count| count >= 3.0), "{process:?}");
        let now = unix_seconds(SystemTime::now());
        assert!(process.start_seconds.is_some_and(|began| began <= now + 1.0 && began > now - 86_400.0), "{process:?}");
    }
}
