use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager, where it asked to be told (`sd_notify(3)`): Type=notify.
pub struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// None where nobody wants to know.
    pub fn from_environment() -> Option<ServiceManager> {
        let address = address(&std::env::var_os("NOTIFY_SOCKET")?)?;
        let socket = UnixDatagram::unbound().and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        let watchdog = watchdog(
            std::env::var("WATCHDOG_USEC").ok().as_deref(),
            std::env::var("WATCHDOG_PID").ok().as_deref(),
            std::process::id(),
        );
        match socket {
            Ok(socket) => Some(ServiceManager { socket, address, watchdog }),
            Err(error) => {
                tracing::warn!("the service manager cannot be told: {error}");
                None
            }
        }
    }

    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    pub fn status(&self, status: &str) {
        self.tell(&format!("STATUS={}", one_line(status)));
    }

    pub fn reloading(&self) {
        // SAFETY: the pointer is to a timespec of our own, for the time of the call.
        let now = unsafe {
            let mut now: libc::timespec = std::mem::zeroed();
            libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now);
            now
        };
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    pub fn stopping(&self, status: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS={}", one_line(status)));
    }

    /// A service manager that does not listen is no reason to fail.
    fn tell(&self, message: &str) {
        let sent = self.socket.send_to_addr(message.as_bytes(), &self.address);
        if let Err(error) = sent
            && error.kind() != io::ErrorKind::WouldBlock
        {
            tracing::debug!("the service manager was not told: {error}");
        }
    }
}

/// Tells the watchdog that the process lives, and the status when it changes, for ever. It runs among all other tasks:
/// where those do not get on, neither does this.
pub async fn keep_alive(manager: &ServiceManager, mut status: impl FnMut() -> String) {
    const LOOK: Duration = Duration::from_secs(5);
    let pause = manager.watchdog.map_or(LOOK, |limit| (limit / 3).min(LOOK));
    let mut told = String::new();
    loop {
        if manager.watchdog.is_some() {
            manager.tell("WATCHDOG=1");
        }
        let now = status();
        if now != told {
            manager.status(&now);
            told = now;
        }
        tokio::time::sleep(pause).await;
    }
}

/// A path, or a name of the abstract namespace after an `@`.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}

/// The longest silence that is allowed; another process's is none of ours.
fn watchdog(microseconds: Option<&str>, pid: Option<&str>, own_pid: u32) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(own_pid));
    let microseconds: u64 = microseconds?.parse().ok()?;
    (is_ours && microseconds > 0).then(|| Duration::from_micros(microseconds))
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(microseconds: Option<&str>, pid: Option<&str>, expected: Option<u64>) {
        assert_eq!(watchdog(microseconds, pid, 7), expected.map(Duration::from_secs));
    }

    #[test]
    fn the_watchdog_is_ours_or_nobodys() {
        check(Some("30000000"), None, Some(30));
        check(Some("30000000"), Some("7"), Some(30));
        check(Some("30000000"), Some("8"), None);
        check(Some("0"), None, None);
        check(Some("soon"), None, None);
        check(None, None, None);
    }

    #[tokio::test]
    async fn the_socket_is_told() {
        let name = format!("pgheal-systemd-test-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("bound");
        listener.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
        let manager = ServiceManager {
            socket: UnixDatagram::unbound().expect("a socket"),
            address: address(OsStr::new(&format!("@{name}"))).expect("an address"),
            watchdog: Some(Duration::from_secs(30)),
        };
        manager.ready("two\nlines");
        manager.stopping("bye");
        let mut expected = vec!["READY=1\nSTATUS=two lines", "STOPPING=1\nSTATUS=bye", "WATCHDOG=1", "STATUS=all well"];
        let alive = tokio::time::timeout(Duration::from_millis(50), keep_alive(&manager, || "all well".to_owned()));
        assert!(alive.await.is_err(), "it never ends");
        let mut buffer = [0; 200];
        for wanted in expected.drain(..) {
            let length = listener.recv(&mut buffer).expect("a message");
            assert_eq!(std::str::from_utf8(&buffer[..length]), Ok(wanted));
        }
        manager.reloading();
        let length = listener.recv(&mut buffer).expect("a message");
        let told = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let since_boot = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|text| text.parse::<u64>().ok());
        assert!(since_boot.is_some_and(|microseconds| microseconds > 0), "{told}");
    }
}
