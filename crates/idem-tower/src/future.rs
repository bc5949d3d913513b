//! [`ResponseFuture`]: the answer on its way.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::ResponseBody;

type Guarded<R, E> = Pin<Box<dyn Future<Output = Result<Response<ResponseBody<R>>, E>> + Send>>;

pin_project! {
    /// The answer on its way: the handler's own future where the request is not protected.
    ///
    /// # Cancel safety
    /// Dropping it does not stop a protected handler, which runs on a task of its own.
    pub struct ResponseFuture<F, R, E>
    where
        R: Body,
    {
        #[pin]
        kind: Kind<F, R, E>,
    }
}

pin_project! {
    #[project = Projection]
    enum Kind<F, R, E>
    where
        R: Body,
    {
        Passing { #[pin] answer: F },
        Refused { answer: Option<Response<Bytes>> },
        Guarded { answer: Guarded<R, E> },
    }
}

impl<F, R: Body, E> ResponseFuture<F, R, E> {
    pub(crate) fn passing(answer: F) -> Self {
        Self {
            kind: Kind::Passing { answer },
        }
    }

    pub(crate) fn refused(answer: Response<Bytes>) -> Self {
        Self {
            kind: Kind::Refused {
                answer: Some(answer),
            },
        }
    }

    pub(crate) fn guarded(
        answer: impl Future<Output = Result<Response<ResponseBody<R>>, E>> + Send + 'static,
    ) -> Self {
        Self {
            kind: Kind::Guarded {
                answer: Box::pin(answer),
            },
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            Projection::Passing { answer } => {
                let response = ready!(answer.poll(cx))?;
                Poll::Ready(Ok(response.map(ResponseBody::passed)))
            }
            Projection::Refused { answer } => {
                let answer = answer.take().expect("a future is not polled after its end");
                Poll::Ready(Ok(answer.map(ResponseBody::read)))
            }
            Projection::Guarded { answer } => answer.as_mut().poll(cx),
        }
    }
}

impl<F, R: Body, E> fmt::Debug for ResponseFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Passing { .. } => "passing",
            Kind::Refused { .. } => "refused",
            Kind::Guarded { .. } => "guarded",
        };
        f.debug_tuple("ResponseFuture").field(&kind).finish()
    }
}
