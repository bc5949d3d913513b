//! Ports that parallel tests, and parallel test processes, do not take from each other.

use std::{
    fs::{self, File, OpenOptions},
    io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    path::PathBuf,
};

use crate::{TestbedError, random};

/// Below where Linux takes the ports of outgoing connections from (32768), and so is the bus port
/// of a Cluster node, 10000 further up. A server that was killed finds its port free again; from
/// the range of outgoing connections any client could have taken it meanwhile.
const RANGE: Range<u16> = 12_000..22_000;

/// How far above its port a Cluster node listens for its peers.
pub(crate) const BUS_OFFSET: u16 = 10_000;

/// How often other ports are tried when somebody who does not ask here bound the first ones.
const ATTEMPTS: usize = 5;

/// Starts a server on a port that is free.
pub(crate) fn start_on_free_port<T>(
    start: impl Fn(Port) -> Result<T, TestbedError>,
) -> Result<T, TestbedError> {
    for _ in 1..ATTEMPTS {
        match start(Port::lease()?) {
            Err(error) if error.is_port_taken() => {}
            outcome => return outcome,
        }
    }
    start(Port::lease()?)
}

/// A port that nobody else who asks here is given while this lives, whether a server is listening
/// on it at the moment or not.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// The kernel lets go of the lock with this process.
    _lock: File,
}

impl Port {
    /// Takes a port that is free now together with its bus port.
    pub(crate) fn lease() -> Result<Self, TestbedError> {
        let folder = lock_folder();
        fs::create_dir_all(&folder).map_err(TestbedError::io("make the folder of port locks"))?;
        let count = RANGE.end - RANGE.start;
        let start = random_below(count);
        (0..count)
            .map(|step| RANGE.start + (start + step) % count)
            .find_map(|number| {
                let lock = lock(&folder.join(number.to_string()))?;
                (is_free(number) && is_free(number + BUS_OFFSET)).then_some(Self {
                    number,
                    _lock: lock,
                })
            })
            .ok_or_else(|| TestbedError::Io {
                action: format!("find a free port in {RANGE:?}"),
                source: io::ErrorKind::AddrInUse.into(),
            })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

/// One folder per user: nobody can open another's lock files, and two users who pick the same port
/// find out when the second server starts.
fn lock_folder() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    std::env::temp_dir().join(format!("idem-testbed-ports-{user}"))
}

fn lock(path: &PathBuf) -> Option<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .ok()?;
    file.try_lock().ok()?;
    Some(file)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn random_below(bound: u16) -> u16 {
    let drawn = random::u64() % u64::from(bound);
    u16::try_from(drawn).expect("a remainder is below its divisor, which was a u16")
}

#[cfg(test)]
mod tests {
    use super::{Port, RANGE};

    #[test]
    fn a_port_is_leased_once_though_nothing_listens_on_it() {
        let ports: Vec<Port> = (0..200).map(|_| Port::lease().unwrap()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ports.len());
        assert!(numbers.iter().all(|number| RANGE.contains(number)));
    }
}
