//! idem-http.
