//! [`GrpcCode`]: the seventeen codes, and what stands for a problem or an HTTP status.

use http::{HeaderMap, StatusCode};

use super::GRPC_STATUS;
use crate::Code;

/// A status code of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GrpcCode {
    /// `OK`
    Ok = 0,
    /// `CANCELLED`
    Cancelled = 1,
    /// `UNKNOWN`
    Unknown = 2,
    /// `INVALID_ARGUMENT`
    InvalidArgument = 3,
    /// `DEADLINE_EXCEEDED`
    DeadlineExceeded = 4,
    /// `NOT_FOUND`
    NotFound = 5,
    /// `ALREADY_EXISTS`
    AlreadyExists = 6,
    /// `PERMISSION_DENIED`
    PermissionDenied = 7,
    /// `RESOURCE_EXHAUSTED`
    ResourceExhausted = 8,
    /// `FAILED_PRECONDITION`
    FailedPrecondition = 9,
    /// `ABORTED`
    Aborted = 10,
    /// `OUT_OF_RANGE`
    OutOfRange = 11,
    /// `UNIMPLEMENTED`
    Unimplemented = 12,
    /// `INTERNAL`
    Internal = 13,
    /// `UNAVAILABLE`
    Unavailable = 14,
    /// `DATA_LOSS`
    DataLoss = 15,
    /// `UNAUTHENTICATED`
    Unauthenticated = 16,
}

impl GrpcCode {
    /// All codes, each at the place of its number.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The number in `grpc-status`.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code in `grpc-status`, where it is there. A value that is no code is `UNKNOWN`, as clients
    /// take it.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(GRPC_STATUS)?.to_str().unwrap_or_default();
        let code = value.parse().ok().and_then(|n: usize| Self::ALL.get(n));
        Some(code.copied().unwrap_or(Self::Unknown))
    }

    /// The code of a problem.
    ///
    /// - A mismatch is `FAILED_PRECONDITION` and not `ALREADY_EXISTS`, which clients that repeat a call
    ///   take for the success of the first one.
    /// - `in-flight` and `rolled-back` are `ABORTED`: the call as a whole can be made again.
    /// - `UNAVAILABLE` is for what passes. Only the problem's code says whether the call may have run.
    #[must_use]
    pub const fn of_problem(code: Code) -> Self {
        match code {
            Code::KeyMissing
            | Code::KeyMalformed
            | Code::BodyUnreadable
            | Code::BodyNotCanonical
            | Code::ScopeRefused => Self::InvalidArgument,
            Code::FingerprintMismatch | Code::OutcomeUnknown | Code::AttemptsExhausted => {
                Self::FailedPrecondition
            }
            Code::InFlight | Code::RolledBack => Self::Aborted,
            Code::StoreUnavailable | Code::CommitUnknown | Code::Overloaded => Self::Unavailable,
            Code::BodyTooLarge => Self::ResourceExhausted,
            Code::Misconfigured | Code::RecordUnreadable | Code::HandlerFailed => Self::Internal,
            Code::AnswerNotKept => Self::DataLoss,
        }
    }

    /// The code that says what an HTTP status says, by `google/rpc/code.proto`.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            200..=299 => Self::Ok,
            400 => Self::InvalidArgument,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::NotFound,
            409 => Self::Aborted,
            429 => Self::ResourceExhausted,
            499 => Self::Cancelled,
            500 => Self::Internal,
            501 => Self::Unimplemented,
            503 => Self::Unavailable,
            504 => Self::DeadlineExceeded,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_code_is_read_by_its_number() {
        for (number, code) in (0..).zip(GrpcCode::ALL) {
            assert_eq!(code.number(), number);
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(number)));
            assert_eq!(GrpcCode::read(&headers), Some(code));
        }
    }

    #[test]
    fn what_is_no_code_is_unknown() {
        assert_eq!(GrpcCode::read(&HeaderMap::new()), None);
        for value in ["17", "-1", "", "OK", "99999999999999999999999", "\u{ff}"] {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.insert(GRPC_STATUS, value);
            assert_eq!(GrpcCode::read(&headers), Some(GrpcCode::Unknown));
        }
    }

    /// A client that takes a problem for a success would never find out.
    #[test]
    fn no_problem_is_ok_or_reads_as_the_success_of_an_earlier_call() {
        for code in Code::ALL {
            let code = GrpcCode::of_problem(code);
            assert!(!matches!(code, GrpcCode::Ok | GrpcCode::AlreadyExists));
        }
    }
}
