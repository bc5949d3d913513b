//! Chromium under its driver; both are gone when the test is.

use std::{
    env,
    path::{Path, PathBuf},
};

use idem_testbed::{Program, TestbedError, skip_or_fail};
use serde_json::{Value, json};
use thirtyfour::{
    CapabilitiesHelper as _, ChromeCapabilities, ChromiumLikeCapabilities as _,
    DesiredCapabilities, WebDriver,
};

/// Enough for tests, also as root and without a display, and silent on the network.
const ARGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,1500",
];

pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    /// Chromium lives in its folder, and goes with it.
    _program: Program,
}

impl Browser {
    /// Starts it; none, said aloud, where it is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let chromium = skip_or_fail(find("chromium"))?;
        let started = Program::start("chromedriver", ["--port=0"], port).await;
        let (program, port) = skip_or_fail(started)?;
        let capabilities = capabilities(&chromium, program.folder());
        let server = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::new(server, capabilities).await.unwrap();
        Some(Self {
            driver,
            _program: program,
        })
    }

    /// Sends a command of the DevTools protocol.
    pub(crate) async fn tell(&self, command: &str, parameters: Value) {
        let cdp = self.driver.cdp();
        cdp.send_raw(command, parameters).await.unwrap();
    }
}

fn capabilities(chromium: &Path, folder: &Path) -> ChromeCapabilities {
    let mut capabilities = DesiredCapabilities::chrome();
    capabilities.set_binary(chromium.to_str().unwrap()).unwrap();
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    for arg in ARGS.iter().copied().chain([&*profile]) {
        capabilities.add_arg(arg).unwrap();
    }
    let log = json!({"browser": "ALL"});
    capabilities.set("goog:loggingPrefs", log).unwrap();
    capabilities
}

fn port(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("started successfully on port ")?;
    rest.split_once(".\n")?.0.parse().ok()
}

fn find(program: &str) -> Result<PathBuf, TestbedError> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| TestbedError::Missing {
            program: program.to_owned(),
            hint: "install the packages chromium and chromium-driver".to_owned(),
        })
}
