//! [`Browser`]: Chromium without a window, under its driver.

use std::path::Path;

use serde_json::{Value, json};
use thirtyfour::{
    CapabilitiesHelper as _, ChromeCapabilities, ChromiumLikeCapabilities as _,
    DesiredCapabilities, WebDriver, error::WebDriverResult,
};

use crate::{Program, TestbedError, launch::in_path_or};

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

/// Chromium without a window, under its driver; both are gone when it is dropped.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use idem_testbed::{Browser, skip_or_fail};
///
/// let Some(browser) = skip_or_fail(Browser::start().await) else {
///     return Ok(());
/// };
/// browser.driver().goto("http://127.0.0.1:4242/").await?;
/// assert_eq!(browser.driver().title().await?, "payments");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Browser {
    driver: WebDriver,
    /// Chromium lives in its folder, and goes with it.
    _program: Program,
}

impl Browser {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if Chromium or its driver is not installed.
    pub async fn start() -> Result<Self, TestbedError> {
        let chromium = in_path_or(&[], "chromium").ok_or_else(|| TestbedError::Missing {
            program: "chromium".to_owned(),
            hint: "install the packages chromium and chromium-driver".to_owned(),
        })?;
        let (program, port) = Program::start("chromedriver", ["--port=0"], port).await?;
        let driver = async {
            let capabilities = capabilities(&chromium, program.folder())?;
            WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await
        };
        match driver.await {
            Ok(driver) => Ok(Self {
                driver,
                _program: program,
            }),
            Err(error) => Err(TestbedError::Start {
                server: "Chromium".to_owned(),
                reason: error.to_string(),
                log: program.log(),
            }),
        }
    }

    /// What it is driven with.
    #[must_use]
    pub fn driver(&self) -> &WebDriver {
        &self.driver
    }

    /// Ends the session, and with it the browser.
    ///
    /// # Errors
    ///
    /// What the driver says of it.
    pub async fn quit(self) -> WebDriverResult<()> {
        self.driver.quit().await
    }

    /// Sends a command of the DevTools protocol.
    ///
    /// # Errors
    ///
    /// What the driver says of it.
    pub async fn tell(&self, command: &str, parameters: Value) -> WebDriverResult<Value> {
        self.driver.cdp().send_raw(command, parameters).await
    }
}

fn capabilities(chromium: &Path, folder: &Path) -> WebDriverResult<ChromeCapabilities> {
    let mut capabilities = DesiredCapabilities::chrome();
    capabilities.set_binary(&chromium.to_string_lossy())?;
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    for arg in ARGS.iter().copied().chain([&*profile]) {
        capabilities.add_arg(arg)?;
    }
    capabilities.set("goog:loggingPrefs", json!({"browser": "ALL"}))?;
    Ok(capabilities)
}

fn port(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("started successfully on port ")?;
    rest.split_once(".\n")?.0.parse().ok()
}
