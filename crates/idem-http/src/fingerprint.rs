//! [`FingerprintRules`]: when two HTTP requests are the same.

mod counted;

use http::{HeaderMap, HeaderName, Method, Uri, header};
use idem_core::Fingerprint;

use crate::{
    canonical::NotCanonical, canonical_form::CanonicalForm, canonical_json::CanonicalJson,
};

/// Which parts of a request must not change under one key.
///
/// By default these count: method, path and query as they were sent, `Content-Type`,
/// `Content-Encoding`, and the body byte for byte. Two requests that differ in any of them have
/// different fingerprints, and the second one under a key is refused as a mismatch (G4).
///
/// Each part goes into the fingerprint under a name of its own and with its length, and headers
/// apart from all other parts. So two parts never run into each other, and an absent part differs
/// from an empty one.
///
/// ```
/// use http::HeaderName;
/// use idem_http::{CanonicalJson, FingerprintRules};
///
/// let rules = FingerprintRules::new()
///     .header(HeaderName::from_static("api-version"))?
///     .authority()
///     .json(CanonicalJson::default().ignoring("/sent_at")?);
/// # let _ = rules;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # A change of rules
/// After a deploy with other rules, a request has another fingerprint than the one that is stored,
/// and its retry would be refused. [`accepting`](Self::accepting) lets a route take requests by its
/// former rules as well, until the records of the former rules have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FingerprintRules {
    query: bool,
    authority: bool,
    body: bool,
    /// Sorted, each once.
    headers: Vec<HeaderName>,
    json: Option<CanonicalJson>,
    form: Option<CanonicalForm>,
    multipart: bool,
    #[cfg(feature = "grpc")]
    grpc: bool,
    former: Vec<Self>,
}

/// The parts of a request that a fingerprint is made of.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target as the client sent it, *before* a router stripped a prefix from it: otherwise
    /// two nested routers could take each other's requests for repeats.
    pub target: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

/// A header was refused: its value belongs to one connection or one sending, so that two sendings of
/// one request would differ. Count the authority in place of `Host`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the header `{0}` can change between two sendings of one request")]
pub struct UnstableHeader(HeaderName);

/// Headers that differ between HTTP/1 and HTTP/2, or between a body of known and of unknown length.
const UNSTABLE: [HeaderName; 11] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::DATE,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

impl Default for FingerprintRules {
    fn default() -> Self {
        Self::new()
    }
}

impl FingerprintRules {
    /// The default: method, path, query, `Content-Type`, `Content-Encoding` and the body's bytes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            query: true,
            authority: false,
            body: true,
            headers: vec![header::CONTENT_ENCODING, header::CONTENT_TYPE],
            json: None,
            form: None,
            multipart: false,
            #[cfg(feature = "grpc")]
            grpc: false,
            former: Vec::new(),
        }
    }

    /// For gRPC: the path with the method, the codec, and each message by its content, whether it was
    /// compressed or not. A message in an encoding that this build does not know counts by its
    /// compressed bytes: it knows gzip and deflate, and zstd with the feature of that name.
    ///
    /// No metadata counts, so neither does `grpc-timeout`. [`header`](Self::header) adds an entry.
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn grpc() -> Self {
        let mut rules = Self::new();
        rules.headers.clear();
        rules.grpc = true;
        rules
    }

    /// Counts a header, for APIs that select a version or a tenant by one. Each of its lines counts
    /// by itself, in their order.
    ///
    /// # Errors
    /// [`UnstableHeader`] for `Host`, `Content-Length`, `Date`, `Expect` and the hop-by-hop headers:
    /// they differ between two sendings of one request.
    pub fn header(mut self, name: HeaderName) -> Result<Self, UnstableHeader> {
        if UNSTABLE.contains(&name) {
            return Err(UnstableHeader(name));
        }
        if let Err(place) = self.place(&name) {
            self.headers.insert(place, name);
        }
        Ok(self)
    }

    /// Does not count this header. `Content-Type` and `Content-Encoding` count by default.
    #[must_use]
    pub fn without_header(mut self, name: &HeaderName) -> Self {
        if let Ok(place) = self.place(name) {
            self.headers.remove(place);
        }
        self
    }

    /// Counts the authority, which is the host and the port that the client addressed: for services
    /// that answer for several hosts. It is `:authority` over HTTP/2 and `Host` over HTTP/1, and one
    /// request has the same fingerprint over both. Letters have no case. The port counts as it was
    /// sent: clients leave the default port out.
    #[must_use]
    pub fn authority(mut self) -> Self {
        self.authority = true;
        self
    }

    /// Does not count the query.
    #[must_use]
    pub fn without_query(mut self) -> Self {
        self.query = false;
        self
    }

    /// Does not count the body. Only for requests that their path and headers describe in full:
    /// another amount in the body is no mismatch any more.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.body = false;
        self
    }

    /// Counts a JSON body (`application/json` and `…+json`) by its canonical form, so that white
    /// space and the order of members do not matter. A body with `Content-Encoding` counts byte for
    /// byte.
    #[must_use]
    pub fn json(mut self, json: CanonicalJson) -> Self {
        self.json = Some(json);
        self
    }

    /// Counts an `application/x-www-form-urlencoded` body by its canonical form, so that the way in
    /// which characters are escaped does not matter. A body with `Content-Encoding` counts byte for
    /// byte.
    #[must_use]
    pub fn form(mut self, form: CanonicalForm) -> Self {
        self.form = Some(form);
        self
    }

    /// Counts a `multipart/*` body by its parts ([`canonical_multipart`](crate::canonical_multipart)),
    /// so that the boundary, which clients draw anew for each sending, does not matter. A body with
    /// `Content-Encoding` counts byte for byte.
    #[must_use]
    pub fn multipart(mut self) -> Self {
        self.multipart = true;
        self
    }

    /// Accepts a request as a repeat, too, when its fingerprint by `former` rules is the one that is
    /// stored.
    ///
    /// To change the rules of a route without refusing retries:
    /// 1. Deploy `former.accepting(new)` everywhere, so that old servers understand records that new
    ///    ones write while both run.
    /// 2. Deploy `new.accepting(former)`.
    /// 3. Once the retention has passed, deploy `new`.
    ///
    /// While former rules are accepted, two requests are the same where either set of rules says so.
    /// If the new rules count one more part, two requests that differ in this part alone are told
    /// apart only after the last step.
    ///
    /// New records are written with the fingerprint by the current rules. A record that is taken over
    /// keeps the fingerprint that it has, and with it the keys that were derived from it. A request
    /// that matches no record by the current rules costs one more claim for each of the former ones;
    /// all others cost nothing.
    ///
    /// ```
    /// use idem_http::FingerprintRules;
    ///
    /// let former = FingerprintRules::new();
    /// let rules = FingerprintRules::new().without_query().accepting(former);
    /// # let _ = rules;
    /// ```
    #[must_use]
    pub fn accepting(mut self, mut former: Self) -> Self {
        let older = std::mem::take(&mut former.former);
        self.former.push(former);
        self.former.extend(older);
        self
    }

    /// The fingerprint of a request, by the current rules.
    ///
    /// # Errors
    /// [`NotCanonical`] for a body without a canonical form, where one is asked for: counting it
    /// byte for byte instead could give one request two fingerprints.
    pub fn fingerprint(&self, request: RequestParts<'_>) -> Result<Fingerprint, NotCanonical> {
        counted::fingerprint(self, request)
    }

    /// The other fingerprints by which a request is accepted, the latest rules first: those by the
    /// former rules that differ from `current`. To be tried where `current` is a mismatch.
    pub fn former_fingerprints(
        &self,
        request: RequestParts<'_>,
        current: Fingerprint,
    ) -> impl Iterator<Item = Fingerprint> {
        self.former
            .iter()
            // A body that former rules refused has no record by them.
            .filter_map(move |rules| counted::fingerprint(rules, request).ok())
            .filter(move |print| *print != current)
    }

    fn place(&self, name: &HeaderName) -> Result<usize, usize> {
        self.headers
            .binary_search_by(|known| known.as_str().cmp(name.as_str()))
    }
}

#[cfg(test)]
mod tests;
