//! [`Console`]: what the page is served from.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use axum::Router;
use http::{request::Parts, uri::Authority};
use idem_core::store::{Browse, Store};

use crate::{overview::Overviews, router};

type Authorise = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

/// A page over a store; see the [crate's docs](crate).
#[derive(Clone)]
#[must_use = "call `into_router`"]
pub struct Console {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) browse: Arc<dyn Browse>,
    pub(crate) title: String,
    pub(crate) authorise: Option<Authorise>,
    pub(crate) token: Option<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) retention: Duration,
    pub(crate) most_records: usize,
}

impl Console {
    /// A page over this store that only shows.
    pub fn new<S: Store + Browse + 'static>(store: Arc<S>) -> Self {
        Self::of(Arc::clone(&store) as Arc<dyn Store>, store)
    }

    /// As [`new`](Self::new), where the two sides of the store are apart.
    pub fn of(store: Arc<dyn Store>, browse: Arc<dyn Browse>) -> Self {
        Self {
            store,
            browse,
            title: "idem".to_owned(),
            authorise: None,
            token: None,
            hosts: Vec::new(),
            retention: Duration::from_secs(24 * 3600),
            most_records: 20_000,
        }
    }

    /// What the page is called: name the application, and whether it is production.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Who may act: the name of whoever sent this request, for the audit, or `None` for those who may
    /// only look. It sees the request's headers, and the extensions that your login put into it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use idem_console::Console;
    /// # use idem_memory::MemoryStore;
    /// #[derive(Clone)]
    /// struct Staff { name: String, may_settle: bool }
    ///
    /// # fn example(store: Arc<MemoryStore>) {
    /// let console = Console::new(store).authorise(|request| {
    ///     let staff = request.extensions.get::<Staff>()?;
    ///     staff.may_settle.then(|| staff.name.clone())
    /// });
    /// # }
    /// ```
    pub fn authorise(
        mut self,
        hook: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.authorise = Some(Arc::new(hook));
        self
    }

    /// Asks for this token, as `Authorization: Bearer`, wherever data is told or changed. The page takes
    /// it from its own address: `https://…/#token=…`. For a page without a login around it.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// A host name under which browsers reach the page, such as `ops.example`; call it once for each.
    ///
    /// Without a [token](Self::token), data is told and changed only under a name that was given here, under
    /// `localhost` and under an IP address. Otherwise another site could point its own name at this server
    /// (*DNS rebinding*): to a browser its page is then the console's own.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use idem_console::Console;
    /// # use idem_memory::MemoryStore;
    /// let console = Console::new(Arc::new(MemoryStore::new())).host("ops.example");
    /// # drop(console);
    /// ```
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// How long a record is kept that was settled or released; 24 hours by default.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// How many records are read for an overview at most; 20,000 by default. Where there are more, the
    /// page says that it shows a part.
    pub fn most_records(mut self, records: usize) -> Self {
        self.most_records = records.max(1);
        self
    }

    /// The page and what it asks for, to be served at the root or nested below any path.
    pub fn into_router(self) -> Router {
        let overviews = Overviews::new(Arc::clone(&self.browse), self.most_records);
        router::of(self, overviews)
    }

    /// Whether data may be told under this name, which may have a port.
    pub(crate) fn is_at(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || self
                .hosts
                .iter()
                .any(|name| name.eq_ignore_ascii_case(host))
    }

    pub(crate) fn actor(&self, request: &Parts) -> Option<String> {
        let hook = self.authorise.as_ref()?;
        hook(request).filter(|name| !name.trim().is_empty())
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}
