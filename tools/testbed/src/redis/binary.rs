//! Which server program is started.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::TestbedError;

/// The environment variable with the path of the server program.
const SERVER_VARIABLE: &str = "IDEM_REDIS_SERVER";

/// The two lines of descent that speak the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisFlavor {
    /// Redis.
    Redis,
    /// Valkey, which parted from Redis after 7.2.
    Valkey,
}

/// A server program, asked for its name and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisBinary {
    path: PathBuf,
    flavor: RedisFlavor,
    version: (u32, u32, u32),
}

impl RedisBinary {
    /// The program that `IDEM_REDIS_SERVER` names, else `redis-server` or `valkey-server` from
    /// `PATH`.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if there is none, or if the one named cannot be run.
    pub fn find() -> Result<Self, TestbedError> {
        if let Some(path) = env::var_os(SERVER_VARIABLE) {
            return Self::at(path);
        }
        Self::at("redis-server").or_else(|missing| Self::at("valkey-server").map_err(|_| missing))
    }

    /// The program at `path`, or of that name in `PATH`.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if it cannot be run, or is no Redis and no Valkey.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, TestbedError> {
        let path = path.into();
        let output = Command::new(&path)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| missing(&path, &error.to_string()))?;
        let banner = String::from_utf8_lossy(&output.stdout);
        let (flavor, version) = parse(&banner)
            .ok_or_else(|| missing(&path, "it says no version of Redis or Valkey"))?;
        Ok(Self {
            path,
            flavor,
            version,
        })
    }

    /// Where it is, or its name in `PATH`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Redis or Valkey.
    #[must_use]
    pub fn flavor(&self) -> RedisFlavor {
        self.flavor
    }

    /// Major, minor and patch version.
    #[must_use]
    pub fn version(&self) -> (u32, u32, u32) {
        self.version
    }
}

impl fmt::Display for RedisBinary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.version;
        write!(f, "{:?} {major}.{minor}.{patch}", self.flavor)
    }
}

/// Reads `Redis server v=7.0.15 sha=…` or `Valkey server v=9.1.2 sha=…`.
fn parse(banner: &str) -> Option<(RedisFlavor, (u32, u32, u32))> {
    let flavor = match banner.split_whitespace().next()? {
        "Redis" => RedisFlavor::Redis,
        "Valkey" => RedisFlavor::Valkey,
        _ => return None,
    };
    let version = banner
        .split_whitespace()
        .find_map(|word| word.strip_prefix("v="))?;
    let mut numbers = version.splitn(3, '.').map(|number| number.parse().ok());
    Some((
        flavor,
        (numbers.next()??, numbers.next()??, numbers.next()??),
    ))
}

fn missing(path: &Path, why: &str) -> TestbedError {
    TestbedError::Missing {
        program: path.display().to_string(),
        hint: format!(
            "{why}; install the package `redis-server` or `valkey-server`, or set {SERVER_VARIABLE} to the path of one"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{RedisFlavor, parse};

    #[test]
    fn both_lines_of_descent_are_told_apart() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64";
        assert_eq!(parse(redis), Some((RedisFlavor::Redis, (7, 0, 15))));
        let valkey = "Valkey server v=9.1.2 sha=00000000:0 malloc=libc bits=64";
        assert_eq!(parse(valkey), Some((RedisFlavor::Valkey, (9, 1, 2))));
        assert_eq!(parse("nginx version: nginx/1.22"), None);
    }
}
