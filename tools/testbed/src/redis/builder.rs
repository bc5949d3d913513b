//! What a server is started with.

use std::{fs, path::PathBuf, sync::Arc};

use super::{Redis, RedisBinary};
use crate::{
    TestbedError,
    folder::Folder,
    launch::Launch,
    ports::{Port, start_on_free_port},
    process::Process,
    unblock::unblock,
};

/// When the append-only file reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFsync {
    /// Before every reply.
    Always,
    /// Once a second.
    EverySecond,
    /// When the operating system sees fit.
    No,
}

/// What a server is started with. Without any further word it keeps nothing on disk.
#[derive(Debug, Clone, Default)]
pub struct RedisBuilder {
    binary: Option<RedisBinary>,
    directives: Vec<(String, String)>,
    sentinel: bool,
    place: Option<PathBuf>,
    identity: Option<Identity>,
}

/// The files that a server shows who it is with.
#[derive(Debug, Clone)]
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl RedisBuilder {
    /// Starts this program instead of the one that [`RedisBinary::find`] finds.
    #[must_use]
    pub fn binary(mut self, binary: RedisBinary) -> Self {
        self.binary = Some(binary);
        self
    }

    /// Keeps an append-only file, from which [`restart`](crate::Server::restart) has the data again.
    #[must_use]
    pub fn append_only(self, fsync: AppendFsync) -> Self {
        let fsync = match fsync {
            AppendFsync::Always => "always",
            AppendFsync::EverySecond => "everysec",
            AppendFsync::No => "no",
        };
        self.directive("appendonly", "yes")
            .directive("appendfsync", fsync)
    }

    /// Bounds the memory, `8mb` for example, and says what happens at the bound: `noeviction`,
    /// `allkeys-lru`, ….
    #[must_use]
    pub fn max_memory(self, bytes: &str, policy: &str) -> Self {
        self.directive("maxmemory", bytes)
            .directive("maxmemory-policy", policy)
    }

    /// Adds a user by the rules of `ACL SETUSER`, for example
    /// `app on >secret ~* &* +@all -@dangerous`.
    #[must_use]
    pub fn user(self, rules: &str) -> Self {
        self.directive("user", rules)
    }

    /// Adds a line to the configuration file; a later one of the same name replaces an earlier one,
    /// but for those that may be given several times.
    #[must_use]
    pub fn directive(mut self, name: &str, value: &str) -> Self {
        self.directives.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has the server's folder in `place` instead of the temporary folder: on a disk that is small
    /// enough to be filled, for example.
    #[must_use]
    pub fn folder_in(mut self, place: impl Into<PathBuf>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Takes encrypted connections as well, on a port of their own, and shows this certificate (PEM
    /// files); clients need none. See [`Redis::encrypted_url`].
    #[must_use]
    pub fn encrypted(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some(Identity {
            certificate: certificate.into(),
            key: key.into(),
        });
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if there is no server program, or it was built without what
    /// [`encrypted`](Self::encrypted) needs, [`TestbedError::Start`] if it
    /// refuses its configuration.
    pub async fn start(self) -> Result<Redis, TestbedError> {
        unblock(move || self.start_blocking()).await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<Redis, TestbedError> {
        let binary = match self.binary.clone() {
            Some(binary) => binary,
            None => RedisBinary::find()?,
        };
        start_on_free_port(|port| self.start_on(&binary, port))
            .map_err(|error| self.without_encryption(&binary, error))
    }

    /// A program that was built without encryption ends with a word on that.
    fn without_encryption(&self, binary: &RedisBinary, error: TestbedError) -> TestbedError {
        match error {
            TestbedError::Start { log, .. }
                if self.identity.is_some() && log.contains("Failed finding TLS support") =>
            {
                TestbedError::Missing {
                    program: format!("{binary} with encryption"),
                    hint: "this one was built without".to_owned(),
                }
            }
            error => error,
        }
    }

    /// Runs as a Sentinel, which takes its configuration from [`directive`](Self::directive).
    pub(super) fn for_sentinel(mut self) -> Self {
        self.sentinel = true;
        self
    }

    pub(super) fn chosen_binary(&self) -> Option<&RedisBinary> {
        self.binary.as_ref()
    }

    fn start_on(&self, binary: &RedisBinary, port: Port) -> Result<Redis, TestbedError> {
        let encrypted = self.identity.as_ref().map(|_| Port::lease()).transpose()?;
        let folder = Folder::create_in(self.place.as_deref(), None)?;
        let config = folder.path().join("redis.conf");
        fs::write(&config, self.config(&folder, &port, encrypted.as_ref()))
            .map_err(TestbedError::io("write a Redis configuration"))?;
        let mut args = vec![config.into_os_string()];
        if self.sentinel {
            args.push("--sentinel".into());
        }
        let launch = Launch {
            name: format!("{binary} at 127.0.0.1:{}", port.number()),
            program: binary.path().to_owned(),
            args,
            account: None,
            // `setsid` could not tell that the program is missing, but the binary was asked its version.
            own_session: true,
        };
        let process = Process::new(launch, Arc::new(folder));
        let redis = Redis::new(process, port, encrypted, binary.clone());
        redis.restart_blocking()?;
        Ok(redis)
    }

    /// A file and not flags: a Sentinel rewrites it, and so the role that it gave to a server
    /// outlives the server.
    fn config(&self, folder: &Folder, port: &Port, encrypted: Option<&Port>) -> String {
        let mut lines = vec![
            "bind 127.0.0.1".to_owned(),
            format!("port {}", port.number()),
            format!("dir \"{}\"", folder.path().display()),
        ];
        if !self.sentinel {
            lines.push("save \"\"".to_owned());
            lines.push("repl-diskless-sync-delay 0".to_owned());
        }
        if let (Some(port), Some(identity)) = (encrypted, &self.identity) {
            lines.extend([
                format!("tls-port {}", port.number()),
                format!("tls-cert-file \"{}\"", identity.certificate.display()),
                format!("tls-key-file \"{}\"", identity.key.display()),
                "tls-auth-clients no".to_owned(),
            ]);
        }
        let given = self.directives.iter();
        lines.extend(given.map(|(name, value)| format!("{name} {value}")));
        lines.join("\n") + "\n"
    }
}
