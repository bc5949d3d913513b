//! What SQS refuses for good, and what passes.

use std::error::Error;

use aws_sdk_sqs::{
    error::{ProvideErrorMetadata, SdkError},
    operation::send_message::SendMessageError,
};

use crate::SourceError;

/// Codes that trying again does not change: no such queue, no right to use it, no such user.
const FINAL: [&str; 10] = [
    "AWS.SimpleQueueService.NonExistentQueue",
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "InvalidAddress",
    "InvalidClientTokenId",
    "KmsAccessDenied",
    "QueueDoesNotExist",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Codes for a message that SQS does not take as it is: too large, too many attributes, a character that it
/// does not allow.
const REFUSED: [&str; 5] = [
    "BatchRequestTooLong",
    "InvalidMessageContents",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "InvalidParameterValueException",
];

pub(super) fn failed<E, R>(error: SdkError<E, R>) -> SourceError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let is_final = error.code().is_some_and(|code| FINAL.contains(&code));
    let is_unsendable = matches!(error, SdkError::ConstructionFailure(_));
    let error = Failed(Box::new(error));
    if is_final || is_unsendable {
        SourceError::config(error)
    } else {
        SourceError::away(error)
    }
}

pub(super) fn is_refused<R>(error: &SdkError<SendMessageError, R>) -> bool {
    error.code().is_some_and(|code| REFUSED.contains(&code))
}

/// The SDK's error says "service error" and no more: what it was is in its sources.
#[derive(Debug)]
struct Failed(Box<dyn Error + Send + Sync>);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
